"""What parent and child tell each other: which stage to import, what it made, why it failed."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from pydantic import BaseModel, TypeAdapter

from contimg.errors import ContimgError, Terminal, by_name
from contimg.limits import KIB, MIB
from contimg.models.base import Model
from contimg.models.manifest import InputRef
from contimg.models.spec import StageInfo, StageSpec
from contimg.stage import StageContext, StageResult
from contimg.volume import disk
from contimg.volume.commit import Reply, run_checksum

__all__ = [
    "GUARD", "Declaration", "Unforeseen", "failure", "plain", "read_reply", "reply_of", "software_versions",
    "success",
]  # fmt: skip

GUARD = "contimg-guard"
"""Name of the process that ends a child's group after it."""
_WIRE = TypeAdapter(Reply)
_INFO_BYTES = 64 * KIB


class Declaration(Model):
    """What a child must know of its stage: where to import its parts from."""

    stage: str
    runner: str
    params: str
    options: str
    info: str

    @classmethod
    def of(cls, spec: StageSpec) -> Declaration:
        """Return the declaration of a stage."""
        places = {name: getattr(spec, name) for name in ("params", "options", "info")}
        named = {name: f"{place.__module__}:{place.__qualname__}" for name, place in places.items()}
        return cls(stage=spec.name, runner=spec.runner, **named)


class Unforeseen(Exception):
    """The stage raised something that is no error of ours, or its process crashed."""


def reply_of(stage: str, context: StageContext[Any], result: StageResult, info: type[StageInfo]) -> Reply:
    """Return what a stage made, with what it was made from.

    Raises
    ------
    Terminal
        If its info is larger than 64 KB.
    pydantic.ValidationError
        If its info is not what its SPEC declares.
    """
    said = result.info.model_dump(mode="json") if isinstance(result.info, BaseModel) else plain(result.info)
    info.model_validate(said)
    size = len(json.dumps(said))
    if size > _INFO_BYTES:
        raise Terminal(f"the info of stage {stage} has {size} bytes, at most {_INFO_BYTES} are allowed; mend the stage")
    files = context.observation.files if context.observation else ()
    runs = [(home, run) for home, found in context.inputs.items() for run in found]
    return Reply(
        result=StageResult(result.products, result.figures, said, result.date),
        inputs=tuple(
            InputRef(task=run.manifest.task, home=home, sha256=run_checksum(run.manifest)) for home, run in runs
        ),
        raw=tuple(file.path for file in files) if files else tuple(str(path) for path in context.raw),
        software=software_versions(stage),
    )


def success(reply: Reply) -> dict[str, Any]:
    """Return a reply as it is sent."""
    return {"reply": _WIRE.dump_python(reply, mode="json")}


def failure(error: Exception, workdir: Path) -> dict[str, Any]:
    """Return an error as it is sent, by its class; what nobody foresaw is marked as such."""
    words = " ".join(str(error).split())
    if isinstance(error, ContimgError):
        return {"error": type(error).__name__, "message": words, "foreseen": True}
    free = shutil.disk_usage(workdir if workdir.is_dir() else ".").free
    if (isinstance(error, OSError) and error.errno in disk.FULL) or free < MIB:
        message = f"the disk of {workdir} is full ({free} bytes are free): {words}"
        return {"error": "ResourceExhausted", "message": message, "foreseen": True}
    if isinstance(error, OSError) and error.errno in disk.PASSING:
        return {"error": "Retryable", "message": f"{type(error).__name__}: {words}; it may pass", "foreseen": True}
    if isinstance(error, MemoryError):
        message = f"the stage ran out of memory ({words or 'allocation refused'})"
        return {"error": "ResourceExhausted", "message": message, "foreseen": True}
    return {"error": "Terminal", "message": f"{type(error).__name__}: {words}; the log says where", "foreseen": False}


def read_reply(answer: dict[str, Any]) -> Reply:
    """Return what a child made.

    Raises
    ------
    ContimgError
        What the stage raised, by its class.
    Unforeseen
        If it raised something else.
    """
    if "error" not in answer:
        return _WIRE.validate_python(answer["reply"])
    if not answer["foreseen"]:
        raise Unforeseen(answer["message"])
    raise by_name(answer["error"])(answer["message"])


def plain(value: Any) -> Any:
    """Return JSON values: numpy scalars and arrays as numbers and lists, numbers that are not finite as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@cache
def software_versions(stage: str) -> dict[str, str]:
    """Return the versions of Python, the image, and every package that the distribution of a stage asks for.

    The distribution is the one that installed the stage; an extra of the stage's name adds what it alone needs.
    """
    found = {"python": sys.version.split()[0], "image": os.environ.get("CONTIMG_IMAGE", "")}
    point = next((one for one in metadata.entry_points(group="contimg.stages") if one.name == stage), None)
    if point is not None and point.dist is not None:
        _add_versions(found, point.dist.name, frozenset({stage}))
    return {name: version for name, version in found.items() if version}


def _add_versions(found: dict[str, str], name: str, extras: frozenset[str]) -> None:
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return
    found[name] = distribution.version
    for line in distribution.requires or ():
        needed = Requirement(line)
        applies = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras | {""})
        if applies and (needed.name not in found or needed.extras):
            _add_versions(found, needed.name, frozenset(needed.extras))
