from __future__ import annotations

import asyncio
import errno
import math
import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
from nats_fixture import eventually
from toy_stages import SPEC, toy_task

from contimg.errors import DataQuality
from contimg.models.spec import StageSpec
from contimg.volume.commit import Reply
from contimg.worker.reply import Unforeseen, failure, plain, read_reply, software_versions
from contimg.worker.warm import ChildDied, WarmChild, child_environment, describe_status


def test_plain_values_survive_json():
    given = {"a": np.float32(1.5), 2: (np.int64(3), [math.inf, np.nan]), "c": np.arange(2), "d": None, "e": True}
    assert plain(given) == {"a": 1.5, "2": [3, [None, None]], "c": [0, 1], "d": None, "e": True}


@pytest.mark.parametrize(
    ("error", "name", "foreseen"),
    [
        (DataQuality("bad"), "DataQuality", True),
        (MemoryError(), "ResourceExhausted", True),
        (OSError(errno.ENOSPC, "full"), "ResourceExhausted", True),
        (OSError(errno.EDQUOT, "quota"), "ResourceExhausted", True),
        (OSError(errno.EIO, "broken"), "Retryable", True),
        (BlockingIOError(errno.EAGAIN, "later"), "Retryable", True),
        (OSError(errno.EINVAL, "wrong"), "Terminal", False),
        (ZeroDivisionError("x"), "Terminal", False),
    ],
)
def test_errors_travel_by_class(tmp_path, error, name, foreseen):
    answer = failure(error, tmp_path)
    assert (answer["error"], answer["foreseen"]) == (name, foreseen)
    with pytest.raises(type(error) if foreseen and isinstance(error, DataQuality) else Exception):
        read_reply(answer)


def test_what_nobody_foresaw_is_told_apart():
    with pytest.raises(Unforeseen, match="ZeroDivisionError: x; the log says where"):
        read_reply({"error": "Terminal", "message": "ZeroDivisionError: x; the log says where", "foreseen": False})


def test_versions_of_everything_that_the_distribution_of_a_stage_asks_for():
    versions = software_versions("convert")
    assert versions["numpy"] == np.__version__
    assert {"python", "contimg", "aoflagger", "astropy-iers-data", "python-casacore"} <= set(versions)
    assert "casadata" in software_versions("solve"), "an extra may lean on another"
    assert "aoflagger" not in software_versions("group")
    assert set(software_versions("nobody")) == {"python"}


def test_the_environment_of_a_child(layout, monkeypatch):
    for variable in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "SkylakeX")
    monkeypatch.setattr("contimg.worker.warm.processors", lambda: 3)
    environment = child_environment(layout)
    assert environment["NUMBA_CACHE_DIR"] == str(layout.stage_base / ".cache" / "numba")
    assert environment["MPLCONFIGDIR"] == str(layout.stage_base / ".cache" / "matplotlib")
    assert (environment["OMP_NUM_THREADS"], environment["NUMBA_NUM_THREADS"]) == ("3", "3")
    assert environment["OPENBLAS_NUM_THREADS"] == "1", "the order of its sums depends on it"
    assert environment["OPENBLAS_CORETYPE"] == "Haswell", "and on its kernels"
    assert environment["CONTIMG_STAGE_BASE"] == str(layout.stage_base)


async def test_the_kernel_takes_a_child_first(layout):
    child = await WarmChild.start(SPEC, layout)
    score = Path(f"/proc/{child.pid}/oom_score_adj")
    await eventually(lambda: score.read_text() == "1000\n")
    await child.end()
    assert Path("/proc/self/oom_score_adj").read_text() != "1000\n"  # noqa: ASYNC240 - proc


async def test_programs_of_a_stage_do_not_outlive_its_process_though_nobody_ends_them(layout, tmp_path):
    child = await WarmChild.start(SPEC, layout)
    talking = asyncio.create_task(child.converse(toy_task("fork", path=str(tmp_path / "pid")), tmp_path, print))
    program = int(await eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    os.kill(child.pid, signal.SIGKILL)  # as the kernel does when our parent dies
    await eventually(lambda: not psutil.pid_exists(program) or psutil.Process(program).status() == "zombie")
    with pytest.raises(ChildDied):
        await talking


def test_statuses_in_words():
    assert describe_status(3) == "exit code 3"
    assert describe_status(-11) == "SIGSEGV"
    assert describe_status(-99) == "signal 99"


async def conversation(layout, spec: StageSpec, workdir, how="write"):
    child = await WarmChild.start(spec, layout)
    said = []
    try:
        return await child.converse(toy_task(how), workdir, lambda *what: said.append(what)), said
    finally:
        await child.end()


async def test_a_child_reports_and_answers(layout, tmp_path):
    answer, said = await conversation(layout, SPEC, tmp_path)
    made = read_reply(answer)
    assert isinstance(made, Reply)
    assert [product.type for product in made.result.products] == ["image", "image", "catalog"]
    assert said[-1] == (2, 2, "files")
    assert "python" in made.software


async def test_a_stage_that_cannot_be_imported_says_so(layout, tmp_path):
    broken = SPEC.model_copy(update={"runner": "toy_stages:Missing"})
    answer, _ = await conversation(layout, broken, tmp_path)
    with pytest.raises(Unforeseen, match=r"AttributeError: .*Missing"):
        read_reply(answer)
    assert "Traceback" in (tmp_path / "log.txt").read_text()


async def test_a_child_that_dies_is_no_answer(layout, tmp_path):
    with pytest.raises(ChildDied, match="ended by SIGSEGV"):
        await conversation(layout, SPEC, tmp_path, "segfault")
