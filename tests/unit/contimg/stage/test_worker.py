from __future__ import annotations

import json
import stat

from toy_stages import toy_task

from contimg.bus import Asked
from contimg.stage.attempt import read_records
from contimg.stage.commit import read_run


async def test_a_task_becomes_one_run_with_names_record_events_and_ack(bench):
    task = toy_task()
    async with bench.working():
        assert await bench.bus.ask(task) is Asked.ACCEPTED
        (committed,) = await bench.heard("committed")
        await bench.drained()
    run = read_run(bench.layout, "image", task.task)
    assert [p.path for p in run.manifest.products] == ["toy.tree", "toy.txt", "toy.txt"]
    assert run.manifest.info == {"unit": task.unit, "nan": None}
    assert not (run.path / "scratch.tmp").exists()
    assert not (run.path / "toy.txt").stat().st_mode & stat.S_IWUSR
    assert "toy write" in (run.path / "log.txt").read_text()
    name = bench.layout.home("image") / task.date / f"{task.unit}.txt"
    assert name.is_symlink()
    assert name.read_text() == "hello"
    catalog = bench.layout.home("catalog") / task.date / f"{task.unit}.cat"
    assert not catalog.is_symlink()
    assert catalog.samefile(run.path / "toy.txt")
    (record,) = read_records(bench.layout, task.task)
    assert record.state == "committed"
    assert record.usage.peak_bytes > 1_000_000
    assert bench.registered == [{"kind": "run", "task": task.task, "home": "image", "number": 1}]
    assert committed.data["verdict"] == "pass"
    assert not list(bench.layout.active("toying").iterdir())
    assert json.loads((run.path / "attempt.json").read_text())["state"] == "committed"
