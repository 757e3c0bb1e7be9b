"""The pipelines that Contimg ships, as YAML beside this module."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml

from contimg.errors import BadConfig
from contimg.models.params import nearest
from contimg.models.pipeline import Pipeline

__all__ = ["pipeline", "pipelines"]


@cache
def pipelines() -> dict[str, Pipeline]:
    """Return the shipped pipelines by name."""
    found = sorted((p for p in files(__name__).iterdir() if p.name.endswith(".yaml")), key=lambda p: p.name)
    loaded = [Pipeline.model_validate(yaml.safe_load(p.read_text())) for p in found]
    return {item.name: item for item in loaded}


def pipeline(name: str) -> Pipeline:
    """Return a shipped pipeline.

    Raises
    ------
    BadConfig
        If there is none of this name; the nearest name is offered.
    """
    if name not in pipelines():
        msg = f"pipeline {name!r} is unknown{nearest(name, pipelines())}; known are {', '.join(pipelines())}"
        raise BadConfig(msg)
    return pipelines()[name]
