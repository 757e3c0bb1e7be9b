"""Stage apply: a raw measurement set and calibration tables make a calibrated measurement set."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.models.quality import Figure, judge
from contimg.radio import caltable
from contimg.radio.ms.edit import copy
from contimg.radio.ms.read import Recording, open_recording
from contimg.stage import ProductDraft, Run, Stage, StageContext, StageResult
from contimg_apply.calibrate import Outcome, calibrate
from contimg_apply.gains import chosen_fields, hours_outside, total_gains
from contimg_apply.params import ApplyParams

__all__ = ["Apply"]


class Apply(Stage[ApplyParams]):
    """Make ``<timestamp>_cal.ms``."""

    def run(self, context: StageContext[ApplyParams]) -> StageResult:
        """Divide by the gains that the ``calsel`` record of the calibration names.

        Raises
        ------
        BadInput
            If the record cannot be read or a table does not fit the data.
        """
        raw, calibration = context.run("raw_ms"), context.run("calibration_table")
        source = raw.product("raw_ms")
        calsel = _calsel(calibration)
        recording = open_recording(source, context.unit)
        outside = max((hours_outside(recording.times_s, entry["valid_mjd"]) for entry in calsel["tables"]), default=0.0)
        gain = _gains(calibration, calsel, recording)
        name = f"{context.unit}_cal.ms"
        copy(source, context.workdir / name)
        mine = replace(recording, path=context.workdir / name)
        outcome = calibrate(mine, gain, context.params.clip_mad, report=context.report)
        draft = ProductDraft(type="calibrated_ms", id=name, path=name, names=_names(raw, context.date, name))
        info = raw.manifest.info | _summary(calsel, calibration)
        return StageResult(products=(draft,), figures=_figures(outcome, outside, context.params), info=info)


def _names(raw: Run, date: str, name: str) -> tuple[str, ...]:
    """Return names below the directories (``science``, ``calibrators``) that the raw one is named in."""
    product = raw.find("raw_ms")
    kinds = {path.split("/")[0] for path in product.names} if product else set()
    return tuple(f"{kind}/{date}/{name}" for kind in sorted(kinds or {"science"}))


def _calsel(run: Run) -> dict[str, Any]:
    path = run.product("calibration_table", "calsel")
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        complete = all(key in entry for entry in record["tables"] for key in ("path", "interp", "valid_mjd", "fields"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"calibration record {path} cannot be read ({error}); run stage solve again") from error
    if not record["tables"] or not complete:
        raise BadInput(f"calibration record {path}: 'tables' is empty or an entry incomplete; run stage solve again")
    return record


def _gains(run: Run, calsel: dict[str, Any], recording: Recording) -> NDArray[np.complex64]:
    parts = []
    for entry in calsel["tables"]:
        found = caltable.read(run.path / entry["path"]).of(recording.antennas)
        parts.append((found, chosen_fields(found, entry["fields"], recording), entry["interp"]))
    return total_gains(parts, recording)


def _summary(calsel: dict[str, Any], run: Run) -> dict[str, Any]:
    """Return what image headers say of the calibration."""
    return {"calibration": {key: calsel.get(key) for key in ("mode", "calibrator")} | {"task": run.manifest.task}}


def _figures(outcome: Outcome, outside_h: float, params: ApplyParams) -> tuple[Figure, ...]:
    return (
        judge("apply.flagged", outcome.flagged, failed_above=params.failed_flagged),
        judge("apply.clipped", outcome.clipped),
        judge("apply.noise", outcome.noise_jy, "Jy"),
        judge("apply.outside_window", outside_h, "h", failed_above=0.0),
    )
