"""Stage solve: from calibrator and member measurement sets to calibration tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contimg.errors import BadInput
from contimg.models.observation import Role
from contimg.stage.base import ProductDraft, Run, Stage, StageContext, StageResult
from contimg_solve.data import Recording, open_recording
from contimg_solve.params import SolveParams
from contimg_solve.report import figures, table_entry
from contimg_solve.scans import Calibration, scans_of, solve_scans
from contimg_solve.solution import Solution
from contimg_solve.tables import write_table

__all__ = ["Solve"]


class Solve(Stage[SolveParams]):
    """Make ``<group>_bpcal``, ``_gpcal``, ``_2gcal`` and ``_calsel.json``."""

    def run(self, context: StageContext[SolveParams]) -> StageResult:
        """Solve by the strategy of the parameters.

        Raises
        ------
        BadInput
            If the calibrators that the strategy needs are missing.
        """
        if context.params.strategy == "calibrator-scans":
            return _by_scans(context)
        raise NotImplementedError


def _opened(runs: list[Run]) -> list[Recording]:
    found = [open_recording(run.product("raw_ms"), run.manifest.unit) for run in runs]
    return sorted(found, key=lambda r: r.mid_s)


def _by_scans(context: StageContext[SolveParams]) -> StageResult:
    params = context.params
    wanted = {c.id for c in context.calibrators if c.role is not Role.TARGET}
    runs = [run for run in context.runs("raw_ms") if run.manifest.unit in wanted]
    if not runs:
        raise BadInput(f"group {context.group} has no calibrator scans among its inputs; add them to its observations")
    scans = scans_of(_opened(runs), params)
    if params.backend == "casa":
        from contimg_solve.casa_backend import solve_scans_casa  # noqa: PLC0415 - loads CASA

        calibration = solve_scans_casa(scans, params, context.workdir)
    else:
        calibration = solve_scans(scans, params, context.report)
    recordings = [scan.recording for scan in scans]
    tables = _written(context, calibration, recordings, scans_roles(calibration, params))
    return _result(context, calibration, {"mode": "scans"}, tables)


def scans_roles(calibration: Calibration, params: SolveParams) -> list[tuple[str, Solution, dict[str, Any]]]:
    """Return role, gains and entry of each table."""
    assert calibration.gains is not None  # noqa: S101
    free = sorted(calibration.fluxes)
    window = params.scan_window_h * 3600
    secondary = {"fields": free or [calibration.calibrator.name], "interp": "linear", "window_s": window}
    primary = {"fields": [calibration.calibrator.name], "interp": "nearest", "window_s": window}
    return [("bpcal", calibration.bandpass, primary), ("gpcal", calibration.gains, secondary)]


def _written(
    context: StageContext[SolveParams],
    calibration: Calibration,
    recordings: list[Recording],
    roles: list[tuple[str, Solution, dict[str, Any]]],
) -> list[dict[str, Any]]:
    entries = []
    for role, solution, entry in roles:
        name = f"{context.group}_{role}"
        write_table(context.workdir / name, solution, calibration.names, calibration.fields, recordings)
        half = solution.intervals_s / 2
        start, end = (solution.times_s - half).min(), (solution.times_s + half).max()
        entries.append(table_entry(role, name, start_s=float(start), end_s=float(end), **entry))
    return entries


def _result(
    context: StageContext[SolveParams], calibration: Calibration, choice: dict[str, Any], tables: list[dict[str, Any]]
) -> StageResult:
    calsel = choice | {
        "group": context.group,
        "calibrator": calibration.calibrator.name,
        "reference_antenna": calibration.reference,
        "model_flux_jy": calibration.model_jy,
        "flux": {k: vars(f) for k, f in calibration.fluxes.items()},
        "tables": tables,
    }
    name = f"{context.group}_calsel.json"
    Path(context.workdir / name).write_text(json.dumps(calsel, indent=2, sort_keys=True) + "\n")
    made = [(entry["role"], entry["path"]) for entry in tables] + [("calsel", name)]
    drafts = tuple(
        ProductDraft(type="calibration_table", id=path, path=path, names=(f"{context.date}/{path}",), role=role)
        for role, path in made
    )
    return StageResult(products=drafts, figures=tuple(figures(calibration, context.params)), info=calsel)
