"""Stage convert: read, flag, measure, write."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np

from contimg.errors import BadInput
from contimg.instruments import telescope_named
from contimg.models.observation import CalibratorTransit, Role
from contimg.models.quality import Figure, judge
from contimg.radio import calibrators, coordinates
from contimg.radio.ms import write as ms
from contimg.radio.visibilities import Visibilities
from contimg.stage import ProductDraft, Stage, StageContext, StageResult
from contimg_convert import flag, manual, stations
from contimg_convert.params import ConvertParams

__all__ = ["Convert"]

_HDF5 = {".hdf5", ".h5", ".uvh5"}
STEPS = 4
SUBBANDS = 16
"""Of the DSA-110 correlator."""


class Convert(Stage[ConvertParams]):
    """Raw visibilities of one observation into a flagged measurement set."""

    def run(self, context: StageContext[ConvertParams]) -> StageResult:
        """Write ``<timestamp>.ms``.

        Raises
        ------
        contimg.errors.BadInput
            If the raw files cannot be read, contradict each other or hold nothing.
        """
        context.report(0, STEPS, "read")
        data = _read(context)
        context.report(1, STEPS, "flag")
        alive = _flag(context, data)
        context.report(2, STEPS, "write")
        name = f"{context.unit}.ms"
        ms.write(context.workdir / name, data, telescope_named(data.telescope))
        context.report(3, STEPS, "describe")
        transits = _transits(context.params, data)
        role = context.observation.role if context.observation else Role.TARGET
        draft = ProductDraft("raw_ms", context.unit, name, _names(context, role, bool(transits), name))
        info = _info(data, role, transits, alive)
        context.report(STEPS, STEPS, "done")
        return StageResult((draft,), _figures(context.params, data, alive), info)

    @staticmethod
    def warm_up() -> None:
        """Import the readers; pyuvdata takes seconds."""
        from contimg.radio.uvfits import read  # noqa: F401, PLC0415 - see above
        from contimg_convert import assemble  # noqa: F401, PLC0415 - see above


def _read(context: StageContext[ConvertParams]) -> Visibilities:
    """Choose the reader by the kind of the files."""
    if not context.raw:
        raise BadInput(f"observation {context.unit} has no raw files; check its record in state/observations")
    absent = [path for path in context.raw if not path.is_file()]
    if absent:
        raise BadInput(f"raw file {absent[0]} of observation {context.unit} is missing; copy it back into incoming/")
    return _read_set(context) if context.raw[0].suffix.lower() in _HDF5 else _read_scan(context)


def _read_set(context: StageContext[ConvertParams]) -> Visibilities:
    from contimg_convert import assemble  # noqa: PLC0415 - each reader costs an import of its own

    return assemble.read(context.raw, _expected(context))


def _expected(context: StageContext[ConvertParams]) -> int:
    """Return how many files a full set has; by hand, without a record, the names tell."""
    if context.observation is not None:
        return context.observation.expected
    return SUBBANDS if "_sb" in context.raw[0].name else 1


def _read_scan(context: StageContext[ConvertParams]) -> Visibilities:
    from contimg.radio.uvfits.read import read_scan  # noqa: PLC0415 - same

    record = context.observation
    if record is None:
        raise BadInput(f"{context.raw[0]} may hold several scans; convert needs the observation record of one")
    start, end = coordinates.jd(record.start), coordinates.jd(record.end)
    return read_scan(context.raw[0], start, end, record.source, record.scan)


def _flag(context: StageContext[ConvertParams], data: Visibilities) -> np.ndarray:
    """Set all flags; return which antennas are alive."""
    params = context.params
    flag.flag_autos_and_edges(data, params.edge_fraction)
    for name, path in context.reference.items():
        if name.startswith("flags:"):
            manual.apply_manual(data, manual.read_manual(path))
    measured = flag.measure(data)
    alive = flag.flag_dead(data, measured, params.dead_below)
    if not alive.any():
        raise BadInput(f"{context.raw[0]}: all visibilities of observation {context.unit} are zero, NaN or flagged")
    if params.rfi == "array":
        measured = flag.measure(data) if not alive.all() else measured
        flag.flag_array(data, measured, params.rfi_sigma, data.subband_channels)
    elif params.rfi == "aoflagger":
        flag.flag_aoflagger(data)
    if params.mad_clip:
        flag.clip_amplitudes(data, params.mad_clip)
    return alive


def _transits(params: ConvertParams, data: Visibilities) -> tuple[CalibratorTransit, ...]:
    """Return the calibrators that transit inside a drift recording; a pointed one has none."""
    if data.app_dec_rad is None:
        return ()
    return calibrators.transits_inside(
        data.start_jd,
        data.end_jd,
        float(np.degrees(data.app_dec_rad)),
        telescope_named(data.telescope),
        params.calibrator_min_jy,
        params.calibrator_max_offset_deg,
    )


def _names(context: StageContext[ConvertParams], role: Role, transit: bool, name: str) -> tuple[str, ...]:
    path = str(Path(context.date) / name)
    if role is not Role.TARGET:
        return (f"calibrators/{path}",)
    return (f"science/{path}", f"calibrators/{path}") if transit else (f"science/{path}",)


def _flagged(data: Visibilities, alive: np.ndarray) -> float:
    """Return the flagged fraction of the cross-correlations of live antennas."""
    rows = data.cross & alive[data.antenna1] & alive[data.antenna2]
    flagged = sum(int(np.count_nonzero(data.flag[r])) for r in np.array_split(np.nonzero(rows)[0], 64) if len(r))
    return float(flagged / max(1, int(rows.sum()) * data.flag.shape[1] * data.flag.shape[2]))


def _figures(params: ConvertParams, data: Visibilities, alive: np.ndarray) -> tuple[Figure, ...]:
    flagged = _flagged(data, alive)
    uvw, place = data.uvw_error_lambda, stations.largest_error_m(data)
    return (
        judge("convert.flagged", flagged, degraded_above=params.degraded_flagged, failed_above=params.failed_flagged),
        judge("convert.not_finite", data.not_finite / data.vis.size, degraded_above=params.degraded_not_finite),
        judge("convert.antennas", int(alive.sum()), degraded_below=params.min_antennas or None),
        judge("convert.uvw_error", uvw, failed_above=_limit(params.max_uvw_error_lambda, uvw)),
        judge("convert.position_error", place, "m", degraded_above=_limit(params.max_position_error_m, place)),
    )


def _limit(limit: float, value: float | None) -> float | None:
    """Return a limit where it is switched on and there is something to judge."""
    return limit if limit and value is not None else None


def _info(
    data: Visibilities, role: Role, transits: tuple[CalibratorTransit, ...], alive: np.ndarray
) -> dict[str, object]:
    mid = (data.start_jd + data.end_jd) / 2
    app_dec = data.app_dec_rad
    return {
        "telescope": telescope_named(data.telescope).key,
        "start": _iso(data.start_jd),
        "mid": _iso(mid),
        "end": _iso(data.end_jd),
        "ra_deg": float(np.degrees(data.ra_rad)) % 360,
        "dec_deg": float(np.degrees(data.dec_rad)),
        "app_dec_deg": None if app_dec is None else float(np.degrees(app_dec)),
        "source": data.source,
        "role": role.value,
        "calibrators": [transit.model_dump(mode="json") for transit in transits],
        "freq_hz": [float(data.freq_hz[0]), float(data.freq_hz[-1]), len(data.freq_hz)],
        "antennas": [name for name, lives in zip(data.antennas.names, alive, strict=True) if lives],
        "flagged": _flagged(data, alive),
        "notes": data.notes,
    }


def _iso(jd: float) -> str:
    nearest = coordinates.utc(jd) + timedelta(microseconds=500)  # isoformat cuts off
    return nearest.isoformat(timespec="milliseconds").replace("+00:00", "Z")
