"""Which calibrator in which member gives the bandpass, or whose bandpass is taken instead."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contimg.errors import BadInput
from contimg.instruments import telescope_named
from contimg.radio.calibrators import find, transits_inside
from contimg.radio.coordinates import transit
from contimg.radio.ms.read import Recording, open_recording
from contimg.stage import Run
from contimg_solve.catalogs import apparent_dec_rad
from contimg_solve.params import Calibration

__all__ = ["Choice", "Origin", "choose", "origin_of", "transit_mjd"]

_MJD_JD = 2400000.5


@dataclass(frozen=True)
class Choice:
    """What the engine decided, or what is sensible when the stage is run by hand."""

    mode: str
    """``own``, ``nearest`` or ``borrowed``."""
    calibrator: str
    member: str | None
    """Observation that holds the calibrator's transit; None when the table comes from elsewhere."""


@dataclass(frozen=True)
class Origin:
    """The bandpass of another group."""

    path: Path
    task: str
    """Run that solved it."""
    record: dict[str, Any]
    """Its ``calsel``."""
    entry: dict[str, Any]
    """The table's entry in there."""


def choose(given: Calibration, runs: Sequence[Run], has_origin: bool) -> Choice:
    """Return the choice: what was decided for the task, else the strongest listed calibrator of the runs.

    Raises
    ------
    BadInput
        If no run holds a transit of a listed calibrator, or the chosen one is missing.
    """
    mode = given.mode or ("nearest" if has_origin else "own")
    wanted = given.calibrator or "auto"
    if mode != "own":
        return Choice(mode, "" if wanted == "auto" else str(wanted), None)
    if given.member:
        if wanted == "auto":
            raise BadInput(f"member {given.member} was chosen for the bandpass without a calibrator; name one")
        return Choice(mode, find(wanted).name, given.member)
    name = None if wanted == "auto" else find(wanted).name
    found = [
        (float(c["apparent_flux_jy"]), str(c["name"]), run.manifest.unit)
        for run in runs
        for c in _transits(run)
        if name in {None, c["name"]}
    ]
    if not found:
        units = ", ".join(run.manifest.unit for run in runs)
        raise BadInput(f"calibrator {wanted!r} transits in none of {units}; name another or give a calibration table")
    _, best, unit = max(found)
    return Choice(mode, best, unit)


def _transits(run: Run) -> Sequence[Mapping[str, Any]]:
    """Return the transits inside a recording as stage convert noted them; of a bare measurement set, computed."""
    noted: Sequence[Mapping[str, Any]] | None = run.manifest.info.get("calibrators")
    if noted is not None:
        return noted
    recording = open_recording(run.product("raw_ms"), run.manifest.unit)
    start = recording.mid_s / 86400 + _MJD_JD - recording.length_s / 2 / 86400
    dec_deg = float(np.degrees(apparent_dec_rad(recording, run.manifest.info)))
    site = telescope_named(recording.telescope)
    found = transits_inside(start, start + recording.length_s / 86400, dec_deg, site)
    return [item.model_dump(mode="json") for item in found]


def origin_of(run: Run) -> Origin:
    """Return the bandpass of a committed run of stage solve.

    Raises
    ------
    BadInput
        If its record cannot be read or names no bandpass.
    """
    path = run.product("calibration_table", "calsel")
    try:
        record = json.loads(path.read_text())
        entry = next(e for e in record["tables"] if e["role"] == "bpcal")
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise BadInput(f"calibration record {path} cannot be read ({error!r}); run stage solve again") from error
    return Origin(run.product("calibration_table", "bpcal"), entry["origin_task"] or run.manifest.task, record, entry)


def transit_mjd(name: str, recording: Recording) -> float:
    """Return the apparent transit of a calibrator nearest to the middle of a recording [MJD]."""
    source = find(name)
    ra, dec = np.radians(source.ra_deg), np.radians(source.dec_deg)
    before = recording.mid_s / 86400 + _MJD_JD - 0.5 * 0.99727
    return transit(ra, dec, before, telescope_named(recording.telescope)) - _MJD_JD
