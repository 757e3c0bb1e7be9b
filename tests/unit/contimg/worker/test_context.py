from __future__ import annotations

import hashlib

import pytest
import structlog
from toy_stages import ToyParams, toy_task

from contimg.errors import BadInput, Retryable
from contimg.models.manifest import Usage
from contimg.models.observation import ObservationRecord
from contimg.stage import ProductDraft, StageResult
from contimg.volume.attempt import open_attempt
from contimg.volume.commit import Made, commit, run_checksum
from contimg.worker.context import build_context, read_observation, reference_path


def record(layout, identity: str, paths=("2026-01-25/a_sb00.hdf5",)) -> ObservationRecord:
    files = [{"path": path, "role": f"sb{n:02d}", "bytes": 5, "digest": "d"} for n, path in enumerate(paths)]
    made = ObservationRecord(
        id=identity, telescope="dsa110", state="sealed", start=identity, end=identity, integrations=24,
        integration_s=12.9, ra_deg=1, dec_deg=2, files=files, digest="d", bytes=5, sealed_at=identity,
    )  # fmt: skip
    path = layout.observations / identity[:10] / f"{identity}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(made.model_dump_json())
    return made


def context_of(layout, tmp_path, **update):
    task = toy_task().model_copy(update=update)
    log = structlog.get_logger()
    return build_context(layout, task, ToyParams, tmp_path, lambda *_: None, log)


def test_everything_a_stage_gets(layout, tmp_path):
    source = toy_task(text="source")
    attempt = open_attempt(layout, "toying", source, 0)
    (attempt.path / "x").touch()
    run = commit(layout, attempt, source, Made(StageResult((ProductDraft("image", "x", "x"),))), Usage())
    one = record(layout, "2026-01-25T22:00:13", ("2026-01-25/a_sb00.hdf5", str(tmp_path / "elsewhere.hdf5")))
    two = record(layout, "2026-01-26T00:00:13")
    layout.catalogs.mkdir(parents=True)
    (layout.catalogs / "nvss.csv").write_text("name")
    sha256 = hashlib.sha256(b"name").hexdigest()
    context, sources = context_of(
        layout, tmp_path, inputs={"image": (source.task,)}, observation=one.id, members=(one.id, two.id),
        calibrators=(two.id,), reference={"catalog:nvss.csv": sha256}, options={"expected": 2},
    )  # fmt: skip
    assert context.run("image") == run
    assert context.observation == one
    assert (context.members, context.calibrators) == ((one, two), (two,))
    assert context.raw == (layout.incoming / "2026-01-25/a_sb00.hdf5", tmp_path / "elsewhere.hdf5")
    assert context.reference == {"catalog:nvss.csv": layout.catalogs / "nvss.csv"}
    assert context.options == {"expected": 2, "task": toy_task().task}
    assert isinstance(context.params, ToyParams)
    (reference,) = sources.inputs
    assert (reference.task, reference.home, reference.sha256) == (source.task, "image", run_checksum(run.manifest))
    assert sources.raw == tuple(file.path for file in one.files)


def test_what_is_missing_may_come_back(layout, tmp_path):
    with pytest.raises(Retryable, match=r"input run .* is missing"):
        context_of(layout, tmp_path, inputs={"image": ("0" * 32,)})
    with pytest.raises(Retryable, match="of observation 2026-01-25T22:00:13 is missing"):
        read_observation(layout, "2026-01-25T22:00:13")


def test_reference_data_must_be_what_the_task_names(layout, tmp_path):
    with pytest.raises(BadInput, match="is missing: put back"):
        context_of(layout, tmp_path, reference={"flags:2026-01-25": "0" * 64})
    layout.flags.mkdir(parents=True)
    (layout.flags / "2026-01-25.txt").write_text("antenna 3")
    with pytest.raises(BadInput, match="it was changed"):
        context_of(layout, tmp_path, reference={"flags:2026-01-25": "0" * 64})
    with pytest.raises(BadInput, match="neither catalog:<file> nor flags:<date>"):
        reference_path(layout, "beam:airy")
