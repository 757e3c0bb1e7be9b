"""Figures of a calibration, their limits, and the record that tells stage apply how to use the tables."""

from __future__ import annotations

from typing import Any

from contimg.models.quality import Figure, judge
from contimg_solve.params import SolveParams
from contimg_solve.scans import Calibration
from contimg_solve.solution import phase_scatter_deg

__all__ = ["figures", "table_entry"]

_DAY_S = 86400.0


def figures(calibration: Calibration, params: SolveParams) -> list[Figure]:
    """Return what was measured, judged by the limits of the stage."""
    gains = calibration.gains
    made = [
        judge("solve.snr", calibration.bandpass.median_snr()),
        judge(
            "solve.bandpass_flagged", calibration.bandpass.flagged(), failed_above=params.failed_bandpass_flagged
        ),
        judge(
            "solve.phase_scatter",
            phase_scatter_deg(calibration.bandpass),
            "deg",
            failed_above=params.failed_phase_scatter_deg,
        ),
        judge("solve.model_flux", calibration.model_jy, "Jy"),
        # Without gains there is only a bandpass: not measured, therefore degraded.
        judge(
            "solve.gains_flagged",
            None if gains is None else gains.flagged(),
            degraded_above=params.degraded_gains_flagged,
        ),
    ]
    if gains is not None:
        made.append(judge("solve.gains_snr", gains.median_snr()))
    for name, flux in calibration.fluxes.items():
        made.append(judge(f"solve.flux.{name}", flux.flux_jy, "Jy"))
        made.append(judge(f"solve.flux_error.{name}", flux.error_jy, "Jy"))
    return made


def table_entry(  # noqa: PLR0913 - one record, all fields named
    role: str, path: str, interp: str, start_s: float, end_s: float, window_s: float, **more: Any
) -> dict[str, Any]:
    """Return one entry of ``tables`` in the calsel record.

    ``valid_mjd`` is the solution's time range widened by ``window_s``; ``fields`` are the fields whose
    solutions may be used for targets (empty: all).
    """
    valid = [(start_s - window_s) / _DAY_S, (end_s + window_s) / _DAY_S]
    return {"role": role, "path": path, "interp": interp, "valid_mjd": valid, "origin_task": None, "fields": []} | more
