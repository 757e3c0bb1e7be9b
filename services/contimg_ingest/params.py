"""Declaration of the watcher ingest."""

from __future__ import annotations

from contimg.models.spec import Scope, StageParams, StageSpec

__all__ = ["SPEC", "IngestParams"]


class IngestParams(StageParams):
    """None: what a file set is stands in the survey's ``fileSets`` and in the instrument."""


SPEC = StageSpec(name="ingest", scope=Scope.WATCHER, params=IngestParams, runner="contimg_ingest.scan:Scanner")
