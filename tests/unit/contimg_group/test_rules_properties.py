"""The rules of a group hold for groups of any size, place and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.errors import BadInput
from contimg.models.quality import Verdict
from contimg_group.params import GroupParams
from contimg_group.rules import Member, check, sentences

T0 = datetime(2026, 1, 25, 22, tzinfo=UTC)
steps = st.lists(st.integers(1, 2000), min_size=0, max_size=12)


def group(gaps, dec=16.15, begin=T0):
    starts = [begin + timedelta(seconds=s) for s in accumulate(gaps, initial=0)]
    return [Member(f"{start:%Y-%m-%dT%H:%M:%S}", start, dec) for start in starts]


@settings(max_examples=80, deadline=None)
@given(steps)
def test_figures_are_what_the_starts_say(gaps):
    size, gap, span, offset = check(group(gaps), GroupParams())
    assert size.value == len(gaps) + 1
    assert gap.value == max(gaps, default=0)
    assert span.value == pytest.approx(sum(gaps) / 60)
    assert offset.value == pytest.approx(0, abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(steps)
def test_each_broken_rule_has_one_sentence_and_no_other_has(gaps):
    figures = check(group(gaps), GroupParams())
    expected = [len(gaps) + 1 < 3, max(gaps, default=0) > 900, sum(gaps) > 3600, False]
    assert [figure.verdict is Verdict.DEGRADED for figure in figures] == expected
    assert len(sentences(figures)) == sum(expected)
    assert all(", but the rule is degraded " in sentence for sentence in sentences(figures))


@settings(max_examples=40, deadline=None)
@given(steps, st.integers(-10_000, 10_000), st.floats(-40, 89))
def test_the_date_and_the_strip_do_not_matter(gaps, days, dec):
    there = check(group(gaps, dec, T0 + timedelta(days=days)), GroupParams())
    here = check(group(gaps), GroupParams())
    assert [figure.verdict for figure in there] == [figure.verdict for figure in here]
    assert [figure.value for figure in there[:3]] == pytest.approx([figure.value for figure in here[:3]], abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-0.3, 0.3), min_size=1, max_size=8), st.floats(0.01, 0.3))
def test_declinations_are_refused_exactly_when_one_is_too_far_from_the_mean(offsets, limit):
    members = [Member(f"m{n}", T0 + timedelta(minutes=5 * n), 30.0 + d) for n, d in enumerate(offsets)]
    mean = sum(member.dec_deg for member in members) / len(members)
    worst = max(members, key=lambda member: abs(member.dec_deg - mean))
    far = abs(worst.dec_deg - mean)
    if abs(far - limit) < 1e-9:
        return
    params = GroupParams(max_dec_offset_deg=limit)
    if far > limit:
        with pytest.raises(BadInput, match=r"mixed declinations: Dec .* of member m\d .*select members of one strip"):
            check(members, params)
    else:
        assert check(members, params)[3].verdict is Verdict.PASS


def test_a_declination_that_is_not_known_does_not_pass():
    members = [Member(str(n), T0 + timedelta(minutes=5 * n), float("nan")) for n in range(3)]
    assert check(members, GroupParams())[3].verdict is Verdict.DEGRADED
