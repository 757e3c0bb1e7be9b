"""Run the command line as a user does, in a process of its own, and watch its memory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

CONTIMG = str(Path(sys.executable).parent / "contimg")


@dataclass
class Finished:
    code: int
    out: str
    err: str
    peak_pss: int = 0
    """Largest PSS of the process and all its descendants together, sampled, in bytes."""

    @property
    def json(self) -> dict:
        return json.loads(self.out)


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without any CONTIMG_ variable: a test must not meet the directories of the one who runs it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONTIMG_")}
    return kept | more


def tree_pss(process: psutil.Process) -> int:
    total = 0
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines()
            total += 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return total


class PssSampler(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.ended = threading.Event()
        self.peak = 0

    def run(self) -> None:
        while not self.ended.wait(0.5):
            with contextlib.suppress(psutil.Error):
                self.peak = max(self.peak, tree_pss(self.process))


def contimg(*words: object, timeout: float = 600, watch: bool = False, cwd: Path | None = None, **env: str) -> Finished:
    """Run ``contimg WORDS`` to its end."""
    argv = [CONTIMG, *map(str, words)]
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(**env), cwd=cwd
    )
    sampler = PssSampler(process.pid)
    if watch:
        sampler.start()
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate(timeout=60)
        raise AssertionError(f"{argv} did not end within {timeout} s: {err[-2000:]}") from None
    finally:
        sampler.ended.set()
    return Finished(process.returncode, out, err, sampler.peak)
