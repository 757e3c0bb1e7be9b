from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contimg.errors import BadInput
from contimg.models.quality import Verdict
from contimg_group.params import GroupParams
from contimg_group.rules import Member, check, sentences

START = datetime(2026, 1, 25, 22, tzinfo=UTC)


def members(*minutes, decs=()):
    decs = decs or (16.15,) * len(minutes)
    times = [START + timedelta(minutes=m) for m in minutes]
    return [Member(t.isoformat(), t, d) for t, d in zip(times, decs, strict=True)]


def test_good_group_passes():
    figures = check(members(0, 5, 10, 25), GroupParams())
    assert all(figure.verdict is Verdict.PASS for figure in figures)
    assert [figure.value for figure in figures] == [4, 900, 25, 0]
    assert sentences(figures) == []


@pytest.mark.parametrize(
    ("minutes", "broken", "words"),
    [
        ((0, 5), "group.size", "group.size is 2, but the rule is degraded < 3"),
        ((0, 5, 20.1), "group.gap", "group.gap is 906 s, but the rule is degraded > 900"),
        ((0, 12, 24, 36, 48, 60.5), "group.span", "group.span is 60.5 min, but the rule is degraded > 60"),
    ],
)
def test_broken_rule_degrades_and_is_told(minutes, broken, words):
    figures = check(members(*minutes), GroupParams())
    assert [f.name for f in figures if f.verdict is Verdict.DEGRADED] == [broken]
    assert sentences(figures) == [words]


def test_limits_themselves_pass():
    figures = check(members(0, 15, 30, 45, 60), GroupParams())
    assert all(figure.verdict is Verdict.PASS for figure in figures)


def test_zero_switches_rules_off():
    rules = GroupParams(min_size=0, max_gap_s=0, max_span_min=0, max_dec_offset_deg=0)
    figures = check(members(0, 500, decs=(10, 50)), rules)
    assert all(figure.verdict is Verdict.PASS and figure.limit == "" for figure in figures)


def test_mixed_declinations_are_refused():
    with pytest.raises(BadInput, match=r"mixed declinations: Dec 16\.4500° of member 2026-01-25T22:10:00") as caught:
        check(members(0, 5, 10, decs=(16.15, 16.15, 16.45)), GroupParams())
    assert "max_dec_offset_deg = 0.1" in str(caught.value)
    check(members(0, 5, 10, decs=(16.15, 16.15, 16.29)), GroupParams())
