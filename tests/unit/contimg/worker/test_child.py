from __future__ import annotations

import errno
import math

import numpy as np
import pytest
from toy_stages import SPEC, toy_task

from contimg.errors import DataQuality
from contimg.models.params import StageSpec
from contimg.volume.commit import Made
from contimg.worker.child import _failure, plain, software_versions
from contimg.worker.reply import Unforeseen, read_reply
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
        (OSError(errno.EIO, "broken"), "Terminal", False),
        (ZeroDivisionError("x"), "Terminal", False),
    ],
)
def test_errors_travel_by_class(tmp_path, error, name, foreseen):
    answer = _failure(error, tmp_path)
    assert (answer["error"], answer["foreseen"]) == (name, foreseen)
    with pytest.raises(type(error) if foreseen and isinstance(error, DataQuality) else Exception):
        read_reply(answer)


def test_what_nobody_foresaw_is_told_apart():
    with pytest.raises(Unforeseen, match="ZeroDivisionError: x; the log says where"):
        read_reply({"error": "Terminal", "message": "ZeroDivisionError: x; the log says where", "foreseen": False})


def test_versions_of_what_was_loaded():
    versions = software_versions()
    assert versions["numpy"] == np.__version__
    assert "aoflagger" not in versions


def test_the_environment_of_a_child(layout, monkeypatch):
    for name in ("OMP_NUM_THREADS", "NUMBA_CACHE_DIR", "MPLBACKEND"):
        monkeypatch.delenv(name, raising=False)
    environment = child_environment(layout)
    assert environment["MPLBACKEND"] == "Agg"
    assert environment["NUMBA_CACHE_DIR"] == str(layout.stage_base / ".cache" / "numba")
    assert int(environment["OMP_NUM_THREADS"]) >= 1
    assert environment["CONTIMG_STAGE_BASE"] == str(layout.stage_base)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert child_environment(layout)["OMP_NUM_THREADS"] == "7"


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
    assert isinstance(made, Made)
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
