"""Bare files as inputs of a stage run by hand: what they are, and runs built around them.

A file that belongs to a committed run, reached by its name or directly, brings that run with everything its manifest
says. Anything else is recognised by what it is, and gets a run with an empty manifest around links.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from contimg.errors import BadInput
from contimg.models.identity import digest
from contimg.models.manifest import Manifest, Product
from contimg.models.observation import ObservationRecord
from contimg.stage import Run
from contimg.volume.attempt import MANIFEST
from contimg.volume.layout import DATA_TYPES

__all__ = ["Given", "recognise"]

_RAW = {".hdf5", ".h5", ".uvh5", ".uvfits"}
_TABLES = {".csv", ".ecsv", ".vot", ".xml"}
_IMAGE_ROLES = ("pbcor", "residual", "model", "psf", "pb")
_MOSAIC_ROLES = ("weight", "noise")
_CAL_ROLES = ("2gcal", "gpcal", "bpcal")


@dataclass
class Given:
    """Inputs of a stage, sorted out."""

    inputs: dict[str, list[Run]] = field(default_factory=dict)
    records: list[ObservationRecord] = field(default_factory=list)
    raw: list[Path] = field(default_factory=list)
    reference: dict[str, Path] = field(default_factory=dict)


def recognise(stage: str, paths: list[Path], view: Path) -> Given:
    """Sort out what was given to a stage.

    Parameters
    ----------
    stage
        Decides what a measurement set or a FITS file is to it.
    view
        Empty directory that gets the links of runs built here.

    Raises
    ------
    BadInput
        If a path is missing or nothing that this stage reads.
    """
    given = Given()
    bare: dict[tuple[str, str], list[Product]] = {}
    for path in paths:
        if not path.exists():
            raise BadInput(f"input {path} does not exist")
        run = _committed(path)
        if run is not None:
            _add(given.inputs, run)
        elif not _is_other(given, stage, path):
            _collect(bare, stage, path, view)
    for (type_, unit), products in bare.items():
        run = Run(view / type_ / unit, _bare_manifest(unit, tuple(products)))
        given.inputs.setdefault(type_, []).append(run)
    return given


def _committed(path: Path) -> Run | None:
    """Return the run that a path is, or is a product of."""
    real = path.resolve()
    for directory in (real, real.parent):
        file = directory / MANIFEST
        if file.is_file():
            manifest = Manifest.model_validate_json(file.read_text())
            if directory == real or any(directory / product.path == real for product in manifest.products):
                return Run(directory, manifest)
    return None


def _add(inputs: dict[str, list[Run]], run: Run) -> None:
    types = [product.type for product in run.manifest.products]
    runs = inputs.setdefault(types[0], [])
    if run not in runs:
        runs.append(run)


def _is_other(given: Given, stage: str, path: Path) -> bool:
    """Take a raw file, an observation record or reference data; False if it is none of them."""
    if path.suffix == ".json":
        text = json.loads(path.read_text())
        if isinstance(text, dict) and "integrations" in text:
            given.records.append(ObservationRecord.model_validate(text))
            return True
    elif stage == "convert" and (path.suffix.lower() in _RAW or path.suffix.lower() == ".fits"):
        given.raw.append(path.resolve())
        return True
    elif path.suffix == ".txt":
        given.reference[f"flags:{path.stem}"] = path.resolve()
        return True
    elif path.suffix.lower() in _TABLES:
        given.reference[f"catalog:{path.name}"] = path.resolve()
        return True
    return False


def _collect(bare: dict[tuple[str, str], list[Product]], stage: str, path: Path, view: Path) -> None:
    type_, role, unit = _kind(stage, path)
    directory = view / type_ / unit
    directory.mkdir(parents=True, exist_ok=True)
    products = bare.setdefault((type_, unit), [])
    for file, its_role in [(path, role), *_siblings(type_, path, role)]:
        link = directory / file.name
        if not link.exists():
            link.symlink_to(file.resolve())
            products.append(Product(type=type_, id=file.name, path=file.name, role=its_role))


def _kind(stage: str, path: Path) -> tuple[str, str, str]:
    """Return data type, role and unit of a file or directory."""
    stem = path.name.split(".")[0] if path.is_file() else path.name.removesuffix(".ms").removesuffix(".image")
    if path.is_dir() and (path / "ANTENNA").is_dir() and (path / "FIELD").is_dir() and not _cal_role(path.name):
        return ("calibrated_ms" if stage == "image" else "raw_ms"), "", stem.removesuffix("_cal")
    if _cal_role(path.name) or path.name.endswith("_calsel.json"):
        return "calibration_table", _cal_role(path.name) or "calsel", "tables"
    if path.name.startswith("group_") and path.suffix == ".json":
        return "group", "", stem.removeprefix("group_")
    if path.suffix == ".image" and path.is_dir():
        return "image", "", path.stem
    if path.suffix == ".fits" and stage == "crossmatch":
        role = next((role for role in _MOSAIC_ROLES if path.stem.endswith(f"_{role}")), "")
        return "mosaic", role, path.stem.removesuffix(f"_{role}")
    if path.suffix == ".fits":
        role = next((role for role in _IMAGE_ROLES if path.stem.endswith(f"_{role}")), "fits")
        return "image", role, path.stem.removesuffix(f"_{role}")
    raise BadInput(
        f"input {path} is nothing that stage {stage!r} reads (a measurement set, calibration tables, FITS images, an "
        "observation record, a catalog or a run directory)"
    )


def _cal_role(name: str) -> str:
    return next((role for role in _CAL_ROLES if name.endswith(f"_{role}")), "")


def _siblings(type_: str, path: Path, role: str) -> list[tuple[Path, str]]:
    """Return the maps that lie beside an image or mosaic under its name."""
    roles = {"image": _IMAGE_ROLES, "mosaic": _MOSAIC_ROLES}.get(type_, ())
    if path.suffix != ".fits" or role not in {"", "fits"}:
        return []
    found = [(path.with_name(f"{path.stem}_{one}.fits"), one) for one in roles]
    return [(file, one) for file, one in found if file.exists()]


def _bare_manifest(unit: str, products: tuple[Product, ...]) -> Manifest:
    now = datetime.now(UTC)
    return Manifest(
        task=digest([unit, [product.path for product in products]])[:32],
        stage=DATA_TYPES[products[0].type].stage,
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
