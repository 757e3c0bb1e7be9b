from __future__ import annotations

import hashlib
import os

import pytest
import structlog
from toy_stages import ToyOptions, ToyParams, toy_task

from contimg.errors import BadInput, Retryable
from contimg.models.manifest import Usage
from contimg.models.observation import ObservationRecord
from contimg.models.spec import StageInfo
from contimg.stage import ProductDraft, StageResult
from contimg.volume import disk
from contimg.volume.attempt import open_attempt
from contimg.volume.commit import Reply, commit, run_checksum
from contimg.volume.names import name_products
from contimg.worker.context import build_context, read_observation
from contimg.worker.reply import reply_of


def record(layout, identity: str, paths=("2026-01-25/a_sb00.hdf5",)) -> ObservationRecord:
    files = [{"path": path, "role": f"sb{n:02d}", "bytes": 5, "digest": "d"} for n, path in enumerate(paths)]
    made = ObservationRecord(
        id=identity, instrument="dsa110", state="sealed", start=identity, end=identity, integrations=24,
        integration_s=12.9, ra_deg=1, dec_deg=2, files=files, digest="d", bytes=5, sealed_at=identity,
    )  # fmt: skip
    disk.write(layout.record(made), made.model_dump_json())
    return made


def context_of(layout, tmp_path, **update):
    task = toy_task().model_copy(update=update)
    log = structlog.get_logger()
    return build_context(layout, task, ToyParams, ToyOptions, tmp_path, lambda *_: None, log)


def test_everything_a_stage_gets(layout, tmp_path):
    source = toy_task(text="source")
    attempt = open_attempt(layout, "toying", source, 0)
    (attempt.path / "x").touch()
    run = commit(layout, attempt, source, Reply(StageResult((ProductDraft("image", "x", "x"),))), Usage())
    one = record(layout, "2026-01-25T22:00:13", ("2026-01-25/a_sb00.hdf5", str(tmp_path / "elsewhere.hdf5")))
    two = record(layout, "2026-01-26T00:00:13")
    disk.write(layout.reference_file("catalog:nvss.csv"), "name")
    sha256 = hashlib.sha256(b"name").hexdigest()
    context = context_of(
        layout, tmp_path, inputs={"image": (source.task,)}, observation=one.id, members=(one.id, two.id),
        calibrators=(two.id,), reference={"catalog:nvss.csv": sha256}, options={"expected": 2},
    )  # fmt: skip
    assert context.run("image") == run
    assert context.observation == one
    assert (context.members, context.calibrators) == ((one, two), (two,))
    assert context.raw == (layout.incoming / "2026-01-25/a_sb00.hdf5", tmp_path / "elsewhere.hdf5")
    assert context.reference == {"catalog:nvss.csv": layout.reference("catalog") / "nvss.csv"}
    assert (context.options, context.task) == (ToyOptions(expected=2), toy_task().task)
    assert isinstance(context.params, ToyParams)
    assert context.previous is None
    reply = reply_of("toy", context, StageResult(()), StageInfo)
    (reference,) = reply.inputs
    assert (reference.task, reference.home, reference.sha256) == (source.task, "image", run_checksum(run.manifest))
    assert reply.raw == tuple(file.path for file in one.files)


def test_what_is_missing_may_come_back(layout, tmp_path):
    with pytest.raises(Retryable, match=r"input run .* is missing"):
        context_of(layout, tmp_path, inputs={"image": ("0" * 32,)})
    with pytest.raises(Retryable, match="of observation 2026-01-25T22:00:13 is missing"):
        read_observation(layout, "2026-01-25T22:00:13")


def test_reference_data_must_be_what_the_task_names(layout, tmp_path):
    with pytest.raises(BadInput, match="is missing: put back"):
        context_of(layout, tmp_path, reference={"flags:2026-01-25": "0" * 64})
    disk.write(layout.reference_file("flags:2026-01-25"), "antenna 3")
    with pytest.raises(BadInput, match="it was changed"):
        context_of(layout, tmp_path, reference={"flags:2026-01-25": "0" * 64})
    layout.reference_file("flags:2026-01-26").parent.joinpath("2026-01-26.txt").mkdir()
    with pytest.raises(BadInput, match="is no regular file"):
        context_of(layout, tmp_path, reference={"flags:2026-01-26": "0" * 64})
    with pytest.raises(BadInput, match="is not <kind>:<file>"):
        context_of(layout, tmp_path, reference={"beam:airy": "0" * 64})


def test_a_pipe_in_the_place_of_a_raw_file_is_not_waited_for(layout, tmp_path):
    one = record(layout, "2026-01-25T22:00:13")
    raw = layout.raw_file(one.files[0])
    raw.parent.mkdir(parents=True)
    os.mkfifo(raw)
    with pytest.raises(BadInput, match="is no regular file; put the file back"):
        context_of(layout, tmp_path, observation=one.id)


def test_options_of_a_task_are_those_that_the_stage_declares(layout, tmp_path):
    assert context_of(layout, tmp_path).options == ToyOptions()
    with pytest.raises(ValueError, match="colour"):
        context_of(layout, tmp_path, options={"colour": "red"})


def test_the_previous_run_is_the_one_that_the_names_lead_to(layout, tmp_path):
    earlier = toy_task(text="earlier")
    attempt = open_attempt(layout, "toying", earlier, 0)
    (attempt.path / "x").touch()
    draft = ProductDraft("image", "x", "x", (f"{earlier.date}/x",))
    run = commit(layout, attempt, earlier, Reply(StageResult((draft,))), Usage())
    name_products(layout, run)
    assert context_of(layout, tmp_path).previous == run
