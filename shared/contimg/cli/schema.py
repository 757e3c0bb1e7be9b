"""``contimg schema``: the JSON schemas of every contract."""

from __future__ import annotations

import json

import typer

from contimg.errors import BadConfig
from contimg.models.base import Model
from contimg.models.fact import Facts, GroupRecord, IngestFact
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.manifest import AttemptRecord, Manifest
from contimg.models.observation import ObservationRecord, QuarantineRecord
from contimg.models.pipeline import Pipeline
from contimg.models.spec import nearest, specs
from contimg.models.survey import FileSetRules, Survey
from contimg.models.task import Event, Task

__all__ = ["SCHEMAS", "schema"]

SCHEMAS: dict[str, type[Model]] = {
    item.__name__: item
    for item in (
        AttemptRecord,
        Event,
        Facts,
        FileSetRules,
        GroupRecord,
        GroupStatus,
        IngestFact,
        Manifest,
        ObservationGroup,
        ObservationRecord,
        Pipeline,
        QuarantineRecord,
        Survey,
        Task,
    )
}
"""By the name a user gives."""


def schema(name: str = typer.Argument("", help="A contract or a stage; without one, the names are listed.")) -> None:
    """Print the JSON schema of a contract, or of a stage's parameters."""
    known = SCHEMAS | {stage: spec.params for stage, spec in specs().items()}
    if not name:
        typer.echo("\n".join(known))
        return
    if name not in known:
        raise BadConfig(f"'contimg schema' lists the contracts, there is none called {name!r}{nearest(name, known)}")
    typer.echo(json.dumps(known[name].model_json_schema(by_alias=True), indent=2))
