from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.models.instrument import FileSet, Piece, Refusal
from contimg.models.observation import ObservationState
from contimg_ingest import digest
from contimg_ingest.sets import Refused, explain, is_enough, late, missing_words, record_of, without_copies
from contimg_ingest.walk import Found

START = datetime(2026, 1, 25, 22, 26, tzinfo=UTC)
ROLES = tuple(f"sb{n:02d}" for n in range(16))


def piece(role, name=""):
    return Piece(Path(name or role), role, "x", START)


def set_of(*roles, expected=ROLES, least=16, **rest):
    pieces = tuple(each if isinstance(each, Piece) else piece(each) for each in roles)
    return FileSet("x", START, pieces, expected, least, **rest)


def content(path):
    return f"100 {path.name} {path.name}"


def test_words_for_what_is_missing():
    thirteen = set_of(*(role for role in ROLES if role not in {"sb03", "sb07", "sb09"}))
    assert missing_words(thirteen) == "13 of 16 files, missing sb03, sb07, sb09"
    assert missing_words(set_of(*ROLES)) == "16 of 16 files"
    many = set_of(expected=tuple(f"r{n}" for n in range(5000)))
    assert missing_words(many).endswith("r31, …")
    assert len(missing_words(many)) < 300


@pytest.mark.parametrize(("count", "least", "enough"), [(16, 16, True), (15, 16, False), (15, 15, True), (1, 1, True)])
def test_enough_is_what_the_rules_say(count, least, enough):
    assert is_enough(set_of(*ROLES[:count], least=least)) is enough


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(18)), st.integers(0, 15))
def test_copies_are_used_once_whatever_came_first(order, twice):
    pieces = [piece(role) for role in ROLES] + [piece(ROLES[twice], f"copy{n}") for n in range(2)]
    found = without_copies(set_of(*(pieces[n] for n in order)), lambda _path: "100 same same")
    assert sorted(each.role for each in found.pieces) == sorted(ROLES)
    assert [refused.reason for refused in found.refused.values()] == ["identical-duplicate"] * 2
    assert all("is a copy of" in each.sentence and "may be removed" in each.sentence for each in found.refused.values())


def test_unlike_files_of_one_role_are_both_refused_and_the_role_is_missing():
    found = without_copies(set_of("sb00", "sb01", piece("sb01", "twin")), content)
    assert {path.name: refused.reason for path, refused in found.refused.items()} == {
        "sb01": "unlike-duplicate",
        "twin": "unlike-duplicate",
    }
    assert "sb01" in found.missing
    assert "sb01, twin: the same sb01 of the same time with unlike content; keep the right one" in explain(found, [])


def test_content_is_read_for_duplicates_alone():
    def forbidden(path):
        raise AssertionError(path)

    assert len(without_copies(set_of(*ROLES), forbidden).pieces) == 16


def test_a_missing_file_is_explained_by_a_refused_one_of_about_that_name():
    files = set_of(*ROLES[1:], refused={Path("odd"): Refusal("mixed-dec", "odd points elsewhere")})
    near, far = START + timedelta(seconds=100), START + timedelta(seconds=309)
    refused = [
        Refused("sb00", near, "sb00 is truncated"),
        Refused("sb00", far, "of the next recording"),
        Refused("sb05", near, "is there"),
        Refused("sb00", near, "sb00 is truncated"),
    ]
    assert explain(files, refused) == ["odd points elsewhere", "sb00 is truncated"]


class Plain:
    name = "plain"

    def describe(self, files):
        from contimg.models.observation import Description  # noqa: PLC0415

        return Description(
            id=files.id, start=START, end=START, integrations=1, integration_s=1.0, ra_deg=0.0, dec_deg=1.0
        )


def record(files, reasons=()):
    places = {each.path: Found(each.path, 1, f"d/{each.path}", 100, 1, 1) for each in files.pieces}
    return record_of(files, Plain(), places, reasons, START, content)


def test_the_record_holds_the_files_in_order_with_their_digests():
    made = record(set_of("sb00", "sb01", expected=ROLES[:2]), ("why",))
    assert (made.instrument, made.state, made.expected, made.bytes) == ("plain", ObservationState.SEALED, 2, 200)
    assert [(file.path, file.root, file.role, file.bytes) for file in made.files] == [
        ("d/sb00", 1, "sb00", 100),
        ("d/sb01", 1, "sb01", 100),
    ]
    assert made.files[0].digest == digest.of_file("sb00", content(Path("sb00")))
    assert made.digest == digest.of_set(file.digest for file in made.files)
    assert made.reasons == ("why",)
    assert [figure.name for figure in made.figures] == ["ingest.files", "ingest.bytes"]
    assert record(set_of("sb00")).state is ObservationState.INCOMPLETE


def test_where_a_file_lies_is_no_part_of_what_it_is():
    files = set_of("sb00", expected=("sb00",))
    elsewhere = {Path("sb00"): Found(Path("sb00"), 0, "other/sb00", 100, 9, 9)}
    assert record(files).digest == record_of(files, Plain(), elsewhere, (), START, content).digest


def test_a_late_file_is_told_from_a_copy():
    made = record(set_of("sb00", "sb01"))
    assert late(piece("sb00"), made, "", content).reason == "identical-duplicate"
    refused = late(piece("sb02"), made, "g", content)
    assert refused.reason == "late"
    assert refused.sentence == (
        "sb02 (sb02) came after observation x was incomplete (2026-01-25T22:26:00Z, 2 of 16 files) and group g was "
        "published with it; it is not used and may be removed"
    )
