"""Toy stages that do to a worker whatever a real one may do; loaded in a real child by their runner path."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from contimg.errors import DataQuality, Retryable, Unavailable
from contimg.models.identity import task_id
from contimg.models.manifest import Manifest, Product
from contimg.models.quality import Figure, judge
from contimg.models.spec import DataType, Scope, StageOptions, StageParams, StageSpec
from contimg.models.task import Limits, Task
from contimg.stage import ProductDraft, Run, Stage, StageContext, StageResult
from contimg.volume.layout import Layout

__all__ = ["SPEC", "Toy", "ToyOptions", "ToyParams", "layout_in", "toy_task"]

DATE = "2026-01-25"
How = Literal[
    "abort", "allocate", "bug", "exit", "fill", "flood", "fork", "gate", "gulp", "hang", "killed", "lie", "once",
    "pause", "quality",
    "retryable", "rival", "segfault", "slow", "spin", "stubborn",
    "talkative", "untold",
    "write", "figure",
]  # fmt: skip


class ToyParams(StageParams):
    """What to do."""

    how: How = "write"
    """Which behaviour."""
    text: str = "hello"
    """Content of the product."""
    path: str = ""
    """A file outside, as a gate or a note."""


class ToyOptions(StageOptions):
    """What a group may say."""

    expected: int = 0
    """A number."""


class Toy(Stage[ToyParams]):
    """Writes one file and one directory, or misbehaves."""

    def run(self, context: StageContext[ToyParams]) -> StageResult:
        params = context.params
        print(f"toy {params.how} in {context.workdir}")
        behaviour = getattr(self, f"_{params.how}", None)
        if behaviour is not None:
            behaviour(context)
        return self._result(context)

    def _result(self, context: StageContext[ToyParams]) -> StageResult:
        context.report(1, 2, "files")
        (context.workdir / "toy.txt").write_text(context.params.text)
        tree = context.workdir / "toy.tree"
        (tree / "sub").mkdir(parents=True)
        (tree / "sub" / "part").write_text(context.params.text * 2)
        (context.workdir / "scratch.tmp").write_text("left behind")
        context.report(2, 2, "files")
        name = f"{context.date}/{context.unit}"
        return StageResult(
            products=(
                ProductDraft("image", f"{context.unit}.tree", "toy.tree", (f"{name}.tree",)),
                ProductDraft("image", f"{context.unit}.txt", "toy.txt", (f"{name}.txt",), "fits"),
                ProductDraft("catalog", f"{context.unit}.cat", "toy.txt", (f"{name}.cat",)),
            ),
            figures=(self._figure(context),),
            info={"unit": context.unit, "nan": float("nan")} | self._extra(context),
        )

    def _figure(self, context: StageContext[ToyParams]) -> Figure:
        good = judge("toy.length", len(context.params.text), failed_below=1)
        return good.model_copy(update={"value": "long"}) if context.params.how == "figure" else good

    def _extra(self, context: StageContext[ToyParams]) -> dict[str, object]:
        extra: dict[str, dict[str, object]] = {
            "untold": {"path": context.workdir},
            "talkative": {"words": "x" * 70_000},
        }
        return extra.get(context.params.how, {})

    def _retryable(self, context: StageContext[ToyParams]) -> None:
        (context.workdir / "clue.json").write_text("{}")
        raise Retryable("the toy wants another try")

    def _once(self, context: StageContext[ToyParams]) -> None:
        flag = Path(context.params.path)
        if not flag.exists():
            flag.touch()
            raise Retryable("the toy fails once")

    def _quality(self, context: StageContext[ToyParams]) -> None:  # noqa: ARG002
        raise DataQuality("the toy is not good enough")

    def _bug(self, context: StageContext[ToyParams]) -> None:  # noqa: ARG002
        raise ValueError("a bug in the toy")

    def _exit(self, context: StageContext[ToyParams]) -> None:  # noqa: ARG002
        os._exit(7)

    def _segfault(self, context: StageContext[ToyParams]) -> None:  # noqa: ARG002
        os.kill(os.getpid(), signal.SIGSEGV)

    def _abort(self, context: StageContext[ToyParams]) -> None:  # noqa: ARG002
        os.kill(os.getpid(), signal.SIGABRT)

    def _killed(self, context: StageContext[ToyParams]) -> None:
        flag = Path(context.params.path)
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def _allocate(self, context: StageContext[ToyParams]) -> None:
        hoard = []
        while True:
            hoard.append(bytearray(os.urandom(1 << 20) * 16))
            context.report(len(hoard), 10_000, "blocks")

    def _gulp(self, context: StageContext[ToyParams]) -> None:
        """Take two gigabytes faster than anybody can look."""
        context.log.info("gulped", size=len(b"x" * (2 << 30)))

    def _flood(self, context: StageContext[ToyParams]) -> None:
        """Fill the directory of the attempt, which lies in memory."""
        with (context.workdir / "flood").open("wb") as file:
            for block in range(10_000):
                file.write(os.urandom(1 << 20))
                context.report(block, 10_000, "blocks")

    def _fill(self, context: StageContext[ToyParams]) -> None:  # noqa: ARG002
        raise OSError(28, "No space left on device")

    def _hang(self, context: StageContext[ToyParams]) -> None:
        Path(context.params.path).write_text(str(os.getpid()))
        signal.pause()

    def _stubborn(self, context: StageContext[ToyParams]) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._hang(context)

    def _spin(self, context: StageContext[ToyParams]) -> None:  # noqa: ARG002
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline:
            pass

    def _slow(self, context: StageContext[ToyParams]) -> None:
        """Work for a while, so that a kill finds something to hit."""
        for step in range(20):
            deadline = time.monotonic() + 0.01
            while time.monotonic() < deadline:
                pass
            (context.workdir / f"part{step}").write_text("x")
            context.report(step, 20, "parts")

    def _fork(self, context: StageContext[ToyParams]) -> None:
        """Start a program that outlives a careless end of its parent."""
        program = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        Path(context.params.path).write_text(str(program.pid))
        signal.pause()

    def _gate(self, context: StageContext[ToyParams]) -> None:
        """Wait until somebody opens the named pipe for writing."""
        Path(f"{context.params.path}.here").write_text(str(os.getpid()))
        Path(context.params.path).read_bytes()

    def _pause(self, context: StageContext[ToyParams]) -> None:
        flag = Path(context.params.path)
        if not flag.exists():
            flag.touch()
            signal.pause()

    def _rival(self, context: StageContext[ToyParams]) -> None:
        """Commit the run of this task as another worker would, while we are at work."""
        task = context.task
        run = Layout.from_environment().run("image", task)
        theirs = context.workdir / "theirs"
        theirs.mkdir()
        (theirs / "toy.txt").write_text(context.params.text)
        product = Product(type="image", id="t", path="toy.txt", names=(f"{context.date}/{context.unit}.txt",))
        now = datetime.now(UTC)
        common = {"stage": "toy", "recipe_version": 1, "version": "0", "unit": context.unit, "group": context.group}
        manifest = Manifest(
            task=task, date=context.date, params={}, products=(product,), attempt=77, host="rival", started=now,
            finished=now, **common,
        )  # fmt: skip
        (theirs / "manifest.json").write_text(manifest.model_dump_json())
        run.parent.mkdir(parents=True, exist_ok=True)
        theirs.rename(run)

    def _lie(self, context: StageContext[ToyParams]) -> None:
        (context.workdir / "toy.tree").symlink_to("nowhere")


EFFECTS: list[tuple[str, bool]] = []
"""Calls of :func:`effect`: task, and whether on the main thread."""


def effect(run: Run, task: Task, layout: Layout) -> list[dict[str, object]]:
    """Fail once; then tell something to register."""
    assert layout.run(task.home, task.task) == run.path
    EFFECTS.append((task.task, threading.current_thread() is threading.main_thread()))
    if len(EFFECTS) == 1:
        raise Unavailable("the object store is away")
    return [{"kind": "group", "record": {"group": task.group}}]


SPEC = StageSpec(
    name="toy",
    scope=Scope.OBSERVATION,
    recipe_version=1,
    params=ToyParams,
    options=ToyOptions,
    makes=(DataType(name="image", home="images", workspace="toying"),),
    runner="toy_stages:Toy",
)
"""Its runs lie in the home of an installed data type."""


def layout_in(directory: Path) -> Layout:
    """Return a layout below a directory, with a stage base that exists."""
    layout = Layout(directory / "stage", directory / "data")
    layout.stage_base.mkdir(parents=True)
    layout.state.mkdir(parents=True)
    return layout


def toy_task(how: How = "write", unit: str = "2026-01-25T22:00:13", *, round_: int = 0, **given: object) -> Task:
    """Return the task of the toy stage with these parameters; ``time_s`` and ``tries`` go to its limits."""
    limits = Limits(**{key: given.pop(key) for key in ("time_s", "tries") if key in given})
    params = ToyParams(how=how, **given).model_dump(mode="json")
    return Task(
        task=task_id("toy", 1, unit, params, {}),
        round=round_,
        stage="toy",
        recipe_version=1,
        unit=unit,
        home="image",
        group="g1",
        date=DATE,
        params=params,
        limits=limits,
    )
