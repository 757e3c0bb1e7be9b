"""Figures of a calibration, their limits, and how a table is entered in the ``calsel`` record."""

from __future__ import annotations

from typing import Any

from contimg.models.quality import Figure, judge
from contimg_solve.calibration import Calibration
from contimg_solve.params import SolveParams
from contimg_solve.solution import phase_scatter_deg

__all__ = ["figures", "table_entry"]


def figures(calibration: Calibration, params: SolveParams) -> list[Figure]:
    """Return what was measured, judged by the limits of the stage.

    Gains that were not solved for want of a catalog are not measured, and therefore degraded.
    """
    band, gains = calibration.bandpass, calibration.gains
    scatter = phase_scatter_deg(band)
    made = [
        judge("solve.snr", band.median_snr()),
        judge("solve.bandpass_flagged", band.flagged(), failed_above=params.failed_bandpass_flagged),
        judge("solve.phase_scatter", scatter, "deg", failed_above=params.failed_phase_scatter_deg),
        judge("solve.model_flux", calibration.model_jy, "Jy"),
        judge("solve.gains_flagged", calibration.gains_flagged, degraded_above=params.degraded_gains_flagged),
        judge("solve.gains_snr", gains.median_snr()),
        judge("solve.weak_members", float(len(calibration.weak))),
    ]
    if calibration.age_h is not None:
        limits = {"degraded_above": params.bandpass_window_h, "failed_above": params.borrowed_window_d * 24}
        made.append(judge("solve.bandpass_age", calibration.age_h, "h", **limits))
    for name, flux in calibration.fluxes.items():
        made.append(judge(f"solve.flux.{name}", flux.flux_jy, "Jy"))
        made.append(judge(f"solve.flux_error.{name}", flux.error_jy, "Jy"))
    return made


def table_entry(
    role: str, path: str, interp: str, start_mjd: float, end_mjd: float, window_d: float, **more: Any
) -> dict[str, Any]:
    """Return one entry of ``tables`` in the ``calsel`` record.

    ``valid_mjd`` is the time range of the solutions widened by ``window_d``; of ``fields``, the one nearest to a
    target on the sky gives its gains (empty: all solutions are used); ``origin_task`` is the run that solved it.
    """
    valid = [start_mjd - window_d, end_mjd + window_d]
    return {"role": role, "path": path, "interp": interp, "valid_mjd": valid, "origin_task": None, "fields": []} | more
