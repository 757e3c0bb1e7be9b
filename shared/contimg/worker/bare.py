"""Bare files as inputs of a stage run by hand: what they are, and runs built around them.

A file that belongs to a committed run, reached by its name or directly, brings that run with everything its manifest
says. Anything else is what the stage itself recognises (``recognise`` of its SPEC), and gets a run with an empty
manifest around links.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from contimg.errors import BadInput
from contimg.models.base import Model
from contimg.models.identity import digest
from contimg.models.manifest import Manifest, Product
from contimg.models.observation import ObservationRecord
from contimg.models.spec import StageSpec, data_types, load
from contimg.stage import Run
from contimg.volume.attempt import MANIFEST

__all__ = ["StageInputs", "recognise"]

M = TypeVar("M", bound=Model)
Kind = tuple[str, str, str]
"""Data type (empty: a raw file), role and unit of a bare file."""


@dataclass
class StageInputs:
    """Inputs of a stage, sorted out."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    records: list[ObservationRecord] = field(default_factory=list)
    raw: list[Path] = field(default_factory=list)
    reference: dict[str, Path] = field(default_factory=dict)


def recognise(spec: StageSpec, paths: list[Path], view: Path) -> StageInputs:
    """Sort out what was given to a stage.

    Parameters
    ----------
    spec
        The stage; what a bare file is to it, it says itself.
    paths
        Run directories, products, observation records, reference data, raw files.
    view
        Empty directory that gets the links of runs built here.

    Raises
    ------
    BadInput
        If a path is missing or nothing that this stage reads.
    """
    found = StageInputs()
    kind_of: Callable[[Path], Kind | None] = load(spec.recognise) if spec.recognise else lambda _: None
    bare: dict[tuple[str, str], dict[str, Product]] = {}
    for path in paths:
        if not path.exists():
            raise BadInput(f"input {path} does not exist")
        kind = None
        if (run := _committed(path)) is not None:
            same_type = found.runs.setdefault(run.manifest.products[0].type, [])
            same_type += [] if run in same_type else [run]
        elif (record := _record(path)) is not None:
            found.records.append(record)
        elif (kind := kind_of(path)) is None:
            found.reference[_reference_name(spec, path)] = path.resolve()
        elif not kind[0]:
            found.raw.append(path.resolve())
        else:
            _collect(bare.setdefault((kind[0], kind[2]), {}), kind_of, path, kind, view)
    for (type_, unit), products in bare.items():
        found.runs.setdefault(type_, []).append(
            Run(view / type_ / unit, _bare_manifest(unit, tuple(products.values())))
        )
    return found


def _committed(path: Path) -> Run | None:
    """Return the run that a path is, or is a product of."""
    real = path.resolve()
    for directory in (real, real.parent):
        file = directory / MANIFEST
        if file.is_file():
            manifest = _parsed(Manifest, file)
            if directory == real or any(directory / product.path == real for product in manifest.products):
                return Run(directory, manifest)
    return None


def _record(path: Path) -> ObservationRecord | None:
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        text = json.loads(path.read_bytes())
    except ValueError:
        return None
    return _parsed(ObservationRecord, path) if isinstance(text, dict) and "integrations" in text else None


def _parsed(kind: type[M], path: Path) -> M:
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        words = error.errors()[0]["msg"]
        raise BadInput(f"{path} is no {kind.__name__} ({words}); give an undamaged one") from error


def _reference_name(spec: StageSpec, path: Path) -> str:
    for row in spec.reference:
        if path.is_file() and (not row.suffix or path.suffix == row.suffix):
            return f"{row.kind}:{path.name.removesuffix(row.suffix)}"
    raise BadInput(f"input {path} is nothing that stage {spec.name!r} reads, and it is no observation record or run")


def _collect(
    products: dict[str, Product], kind_of: Callable[[Path], Kind | None], path: Path, kind: Kind, view: Path
) -> None:
    """Link a file, and the files beside it that are other roles of the same unit."""
    type_, role, unit = kind
    beside = [item for item in sorted(path.parent.glob(f"{unit}*")) if item != path]
    siblings = [(item, found[1]) for item in beside if (found := kind_of(item)) and found[::2] == (type_, unit)]
    roles = {role}
    directory = view / type_ / unit
    directory.mkdir(parents=True, exist_ok=True)
    for file, its_role in [(path, role), *siblings]:
        if file == path or (its_role and its_role not in roles):
            roles.add(its_role)
            if file.name not in products:
                (directory / file.name).symlink_to(file.resolve())
            products[file.name] = Product(type=type_, id=file.name, path=file.name, role=its_role)


def _bare_manifest(unit: str, products: tuple[Product, ...]) -> Manifest:
    now = datetime.now(UTC)
    return Manifest(
        task=digest([unit, [product.path for product in products]])[:32],
        stage=data_types()[products[0].type].stage,
        recipe_version=0,
        version="",
        unit=unit,
        group="byhand",
        date=f"{now:%Y-%m-%d}",
        params={},
        products=products,
        attempt=0,
        host="",
        started=now,
        finished=now,
    )
