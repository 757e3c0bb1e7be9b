"""A file that comes after its set ended as incomplete completes it, as long as nothing published used it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contimg.models.fact import GroupRecord
from contimg.models.observation import ObservationState

START = "2026-01-25T22:25:54"


def fill(site, subbands, but=()):
    return [site.put(path) for n, path in enumerate(subbands) if n not in but]


def publish(site, *, members=(START,), published=True):
    record = GroupRecord(
        group="g", spec_digest="x", task="0" * 32, published=published, verdict="pass", at=site.now, members=members
    )
    site.layout.groups.mkdir(parents=True, exist_ok=True)
    (site.layout.groups / "g.json").write_text(record.model_dump_json())


def test_the_user_who_copies_the_missing_file_and_starts_again_gets_the_observation(site, subbands):
    fill(site, subbands, but=(3,))
    site.restart(one_shot=True)
    (first,) = site.scan().records
    assert first.state is ObservationState.INCOMPLETE
    assert first.reasons[0] == (
        "15 of 16 files, missing sb03 and no others are expected; it will not be used until the missing files are "
        "copied to the incoming directory"
    )
    site.put(subbands[3])
    site.restart(one_shot=True)
    report = site.scan(60)
    (second,) = report.records
    assert (second.id, second.state, len(second.files), second.reasons) == (START, ObservationState.SEALED, 16, ())
    assert second.digest != first.digest
    assert site.records() == [second]
    assert not report.quarantined
    site.restart(one_shot=True)
    assert not site.scan(1).records


def test_the_set_is_the_same_as_if_all_files_had_come_in_time(site, subbands, tmp_path_factory):
    fill(site, subbands, but=(0, 5))
    site.restart(one_shot=True)
    site.scan()
    for n in (5, 0):  # sb00 gives the id, and comes last
        site.put(subbands[n])
        site.restart(one_shot=True)
        site.scan(1)
    whole = type(site)(tmp_path_factory.mktemp("whole"))
    fill(whole, subbands)
    whole.restart(one_shot=True)
    whole.scan()
    (late,), (timely,) = site.records(), whole.records()
    assert late.model_copy(update={"sealed_at": timely.sealed_at}) == timely


def test_a_service_waits_again_for_what_is_still_missing(site, subbands):
    fill(site, subbands, but=(3, 7))
    site.scan()
    assert site.scan(16).records[0].state is ObservationState.INCOMPLETE
    site.put(subbands[3])
    site.scan()
    report = site.scan(1)
    assert not report.records
    (unsealed,) = report.unsealed
    assert (unsealed.id, unsealed.instrument) == (START, "dsa110")
    assert unsealed.sentence.startswith("15 of 16 files, missing sb07; waits until 00:31:00 UTC")
    site.put(subbands[7])
    site.scan()
    assert site.scan(1).records[0].state is ObservationState.SEALED


def test_what_is_still_missing_at_the_second_deadline_ends_it_again(site, subbands):
    fill(site, subbands, but=(3, 7))
    site.scan()
    site.scan(16)
    site.put(subbands[3])
    site.scan()
    (record,) = site.scan(16).records
    assert record.state is ObservationState.INCOMPLETE
    assert record.reasons[0].startswith("15 of 16 files, missing sb07 at the deadline")
    assert [len(each.files) for each in site.records()] == [15]
    assert not site.scan(16).records


def test_a_truncated_file_that_is_copied_again_completes_its_set(site, subbands):
    fill(site, subbands)
    bad = site.incoming / subbands[5].name
    bad.write_bytes(subbands[5].read_bytes()[:2000])
    site.restart(one_shot=True)
    (record,) = site.scan().records
    assert "sb05" in record.reasons[0]
    assert str(bad) in record.reasons[1]
    site.put(subbands[5])
    site.restart(one_shot=True)
    assert site.scan(1).records[0].state is ObservationState.SEALED


@pytest.mark.parametrize("is_used", [True, False])
def test_a_published_group_that_used_the_observation_closes_it(site, subbands, is_used):
    fill(site, subbands, but=(3,))
    site.restart(one_shot=True)
    site.scan()
    publish(site, members=(START if is_used else "another",))
    late = site.put(subbands[3])
    site.restart(one_shot=True)
    report = site.scan(1)
    if not is_used:
        assert report.records[0].state is ObservationState.SEALED
        return
    assert not report.records
    (refused,) = report.quarantined
    assert refused.reason == "late"
    assert refused.sentence == (
        f"{late} (sb03) came after observation {START} was incomplete (2026-01-26T00:00:00Z, 15 of 16 files) and "
        "group g was published with it; it is not used and may be removed"
    )


def test_a_group_that_was_not_published_closes_nothing(site, subbands):
    fill(site, subbands, but=(3,))
    site.restart(one_shot=True)
    site.scan()
    publish(site, published=False)
    site.put(subbands[3])
    site.restart(one_shot=True)
    assert site.scan(1).records[0].state is ObservationState.SEALED


def test_a_group_record_that_cannot_be_read_may_have_used_it(site, subbands):
    fill(site, subbands, but=(3,))
    site.restart(one_shot=True)
    site.scan()
    site.layout.groups.mkdir(parents=True)
    (site.layout.groups / "odd.json").write_text(f'["{START}"]')
    site.put(subbands[3])
    site.restart(one_shot=True)
    (refused,) = site.scan(1).quarantined
    assert "group odd" in refused.sentence


def test_files_that_were_removed_meanwhile_are_no_part_of_the_completed_set(site, subbands):
    files = fill(site, subbands, but=(3,))
    site.restart(one_shot=True)
    site.scan()
    files[0].unlink()
    site.put(subbands[3])
    site.restart(one_shot=True)
    (record,) = site.scan(1).records
    assert record.state is ObservationState.INCOMPLETE
    assert "missing sb00" in record.reasons[0]
    assert record.id == START


def test_a_copy_of_a_file_of_an_incomplete_set_completes_nothing(site, subbands):
    fill(site, subbands, but=(3,))
    site.restart(one_shot=True)
    site.scan()
    twin = site.put(subbands[4], f"z/{subbands[4].name}")
    site.restart(one_shot=True)
    report = site.scan(1)
    (refused,) = report.quarantined
    assert (refused.reason, refused.path) == ("identical-duplicate", str(twin))
    assert [record.state for record in site.records()] == [ObservationState.INCOMPLETE]


def test_the_deadline_counts_from_the_arrival_and_not_from_a_restart(site, subbands):
    """What the file system says about the last change cannot be set back by the program that copies."""
    fill(site, subbands, but=(3,))
    site.now = site.now.replace(year=2100)
    site.scan()
    assert site.records()[0].state is ObservationState.INCOMPLETE
    assert site.records()[0].sealed_at - site.now < timedelta(seconds=1)
