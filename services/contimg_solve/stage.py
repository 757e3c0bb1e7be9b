"""Stage solve: from calibrator and member measurement sets to calibration tables."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from contimg.errors import BadInput
from contimg.models.observation import Role
from contimg.radio import caltable
from contimg.radio.calibrators import find
from contimg.radio.caltable import Field
from contimg.radio.coordinates import isot
from contimg.radio.ms.read import Recording, open_recording
from contimg.stage import ProductDraft, Run, Stage, StageContext, StageResult
from contimg_solve.calibration import Calibration
from contimg_solve.catalogs import apparent_dec_rad, read_sources, seen, with_calibrator
from contimg_solve.choice import Choice, Origin, choose, origin_of, transit_mjd
from contimg_solve.data import antenna_names, check_channels
from contimg_solve.params import SolveParams
from contimg_solve.report import figures, table_entry
from contimg_solve.scans import scans_of, solve_scans
from contimg_solve.solution import Solution
from contimg_solve.sources import is_listed
from contimg_solve.transit import Member, bandpass, member_gains, short_phases

__all__ = ["Solve"]

Context = StageContext[SolveParams]


class Solve(Stage[SolveParams]):
    """Make ``<group>_bpcal``, ``_gpcal``, ``_2gcal`` and ``_calsel.json``."""

    def run(self, context: Context) -> StageResult:
        """Solve by the strategy of the parameters.

        Raises
        ------
        BadInput
            If the calibrators that the strategy needs are missing.
        DataQuality
            If a calibrator has no usable visibilities.
        """
        return _by_scans(context) if context.params.strategy == "calibrator-scans" else _by_transit(context)

    @staticmethod
    def warm_up() -> None:
        """Import what every attempt needs."""
        from contimg.radio import coordinates  # noqa: F401, PLC0415 - astropy's Earth orientation


def _opened(runs: list[Run]) -> list[Recording]:
    return [open_recording(run.product("raw_ms"), run.manifest.unit) for run in runs]


def _in_time(run: Run) -> str:
    return str(run.manifest.info.get("mid", run.manifest.unit))


def _is_calibrator(run: Run, context: Context) -> bool:
    """Tell by the group's records; by hand there are none: by the note of stage convert, else by the place."""
    if context.calibrators:
        return run.manifest.unit in {c.id for c in context.calibrators if c.role is not Role.TARGET}
    if "role" in run.manifest.info:
        return bool(run.manifest.info["role"] != Role.TARGET)
    return is_listed(open_recording(run.product("raw_ms")))


def _by_scans(context: Context) -> StageResult:
    params = context.params
    runs = sorted((run for run in context.runs("raw_ms") if _is_calibrator(run, context)), key=_in_time)
    if not runs:
        raise BadInput(f"group {context.group} has no calibrator scans among its inputs; add them to its observations")
    scans = scans_of(_opened(runs), params)
    if params.backend == "casa":
        from contimg_solve.casa_backend import solve_scans_casa  # noqa: PLC0415 - loads CASA

        calibration = solve_scans_casa(scans, params, context.workdir)
    else:
        calibration = solve_scans(scans, params, context.report)
    recordings = [scan.recording for scan in scans]
    window = params.scan_window_h * 3600
    name = calibration.calibrator.name
    tables = [
        _write(context, "bpcal", calibration.bandpass, calibration, recordings)
        | _entry(calibration.bandpass, window, "nearest", [name]),
        _write(context, "gpcal", calibration.gains, calibration, recordings)
        | _entry(calibration.gains, window, "linear", sorted(calibration.fluxes) or [name]),
    ]
    return _result(context, calibration, tables, {"mode": "scans", "mid_mjd": recordings[0].mid_s / 86400})


def _by_transit(context: Context) -> StageResult:
    wanted = {member.id for member in context.members}
    given = sorted((run for run in context.runs("raw_ms")), key=_in_time)
    runs = [run for run in given if not wanted or run.manifest.unit in wanted]
    if not runs:
        raise BadInput(f"group {context.group} has no measurement sets of its members among its inputs")
    origins = [origin_of(run) for run in context.runs("calibration_table")]
    choice = choose(context.options.calibration, runs, bool(origins))
    if choice.mode != "own" and len(origins) != 1:
        raise BadInput(f"mode {choice.mode!r} needs the one run of stage solve to take from, not {len(origins)}")
    return _Drift(context, runs, choice, None if choice.mode == "own" else origins[0]).result()


class _Drift:
    """The steps of a drift scan's calibration, which share recordings, antennas and catalog."""

    def __init__(self, context: Context, runs: list[Run], choice: Choice, origin: Origin | None) -> None:
        self.context, self.choice, self.origin = context, choice, origin
        self.params = context.params
        self.recordings = _opened(runs)
        check_channels(self.recordings)
        self.names = antenna_names(self.recordings)
        self.dec = [apparent_dec_rad(r, run.manifest.info) for r, run in zip(self.recordings, runs, strict=True)]
        self.catalog = read_sources(context.reference, self.params.spectral_index)
        self.name = choice.calibrator or (str(origin.record["calibrator"]) if origin else "")
        self.sources = with_calibrator(self.catalog, find(self.name), self.params.spectral_index)

    def result(self) -> StageResult:
        solved, reference, model_jy, table, about = self._copied() if self.origin else self._solved()
        context, pre = self.context, solved.as_factor()[0]
        members = [self._member(k) for k in range(len(self.recordings))]
        one = None
        if self.params.backend == "casa":
            one = partial(self._casa_gain, table=context.workdir / table["path"])
        made = member_gains(members, pre, self.names, reference, self.params, one, context.report)
        short = None
        if self.params.short_phase:
            short = short_phases(members, pre, made.gains, self.names, reference, self.params)
        places = tuple(Field(r.unit, r.ra_rad, r.dec_rad) for r in self.recordings)
        calibration = Calibration(
            names=self.names,
            reference=reference,
            bandpass=solved,
            gains=made.gains,
            gains_flagged=None if self.catalog is None else made.flagged,
            fields=places,
            calibrator=self._place(),
            model_jy=model_jy,
            short=short,
            age_h=abs(float(about["transit_mjd"]) - self._middle_mjd()) * 24,
            weak=made.weak,
        )
        return _result(context, calibration, [table, *self._gain_tables(calibration)], about)

    def _middle_mjd(self) -> float:
        return (self.recordings[0].mid_s + self.recordings[-1].mid_s) / 2 / 86400

    def _window_d(self) -> float:
        """Return how far from its transit the bandpass may be applied; the rule is about the middle of the group."""
        own = self.params.borrowed_window_d if self.choice.mode == "borrowed" else self.params.bandpass_window_h / 24
        return own + (self.recordings[-1].mid_s - self.recordings[0].mid_s) / 2 / 86400

    def _place(self) -> Field:
        return Field(self.name, float(self.sources.ra_rad[0]), float(self.sources.dec_rad[0]))

    def _member(self, k: int) -> Member:
        if self.catalog is None:
            return Member(self.recordings[k], None)
        return Member(self.recordings[k], seen(self.sources, self.recordings[k], self.dec[k], self.params))

    def _casa_gain(self, member: Member, table: Path) -> Solution:
        from contimg_solve.casa_backend import member_gain_casa  # noqa: PLC0415 - loads CASA

        return member_gain_casa(member, table, self.names, self.params, self.context.workdir)

    def _solved(self) -> tuple[Solution, str, float, dict[str, Any], dict[str, Any]]:
        """Solve the bandpass on the own calibrator; return it with its table's entry and facts about it."""
        units = [r.unit for r in self.recordings]
        if self.choice.member not in units:
            raise BadInput(f"member {self.choice.member} holds the calibrator but is not an input; convert it first")
        k = units.index(str(self.choice.member))
        recording = self.recordings[k]
        sky = seen(self.sources, recording, self.dec[k], self.params, first=1)
        assert sky is not None  # noqa: S101 - the calibrator is kept however faint
        member = Member(recording, sky)
        if self.params.backend == "casa":
            from contimg_solve.casa_backend import bandpass_casa  # noqa: PLC0415 - loads CASA

            solved, reference = bandpass_casa(member, self.name, self.params, self.context.workdir)
        else:
            solved, reference = bandpass(member, self.name, self.names, self.params)
        when = transit_mjd(self.name, recording)
        path = f"{self.context.group}_bpcal"
        table = solved.as_table(self.names, [self._place()], recording.freqs_hz)
        caltable.write(self.context.workdir / path, table, [recording, *self.recordings])
        entry = table_entry("bpcal", path, "nearest", when, when, self._window_d())
        about = {"mode": "own", "transit": isot(when + 2400000.5), "transit_mjd": when}
        about |= {"dec_deg": float(np.degrees(self.dec[k])), "mid_mjd": recording.mid_s / 86400}
        return solved, reference, float(sky.flux_jy[:, 0].mean()), entry, about

    def _copied(self) -> tuple[Solution, str, float, dict[str, Any], dict[str, Any]]:
        """Copy the bandpass of another group into this run; later tables then change nothing."""
        origin = self.origin
        assert origin is not None  # noqa: S101 - asked for only then
        path = f"{self.context.group}_bpcal"
        shutil.copytree(origin.path, self.context.workdir / path, copy_function=shutil.copyfile)
        for each in (self.context.workdir / path, *(self.context.workdir / path).rglob("*")):
            each.chmod(each.stat().st_mode | 0o200)
        record, when = origin.record, float(origin.record["transit_mjd"])
        table = table_entry("bpcal", path, "nearest", when, when, self._window_d(), origin_task=origin.task)
        keys = ("transit", "transit_mjd", "dec_deg", "mid_mjd")
        about = {"mode": self.choice.mode} | {key: record[key] for key in keys}
        solved = Solution.from_table(caltable.read(origin.path), self.names)
        return solved, str(record["reference_antenna"]), float(record["model_flux_jy"]), table, about

    def _gain_tables(self, calibration: Calibration) -> list[dict[str, Any]]:
        half_hour = 1800.0
        made = [
            _write(self.context, "gpcal", calibration.gains, calibration, self.recordings)
            | _entry(calibration.gains, half_hour, "nearest", [])
        ]
        if calibration.short is not None:
            made.append(
                _write(self.context, "2gcal", calibration.short, calibration, self.recordings)
                | _entry(calibration.short, half_hour, "linear", [])
            )
        return made


def _write(
    context: Context, role: str, solution: Solution, calibration: Calibration, recordings: list[Recording]
) -> dict[str, Any]:
    """Write a table; return the part of its entry that names it."""
    path = f"{context.group}_{role}"
    table = solution.as_table(calibration.names, calibration.fields, recordings[0].freqs_hz)
    caltable.write(context.workdir / path, table, recordings)
    return {"role": role, "path": path}


def _entry(solution: Solution, window_s: float, interp: str, fields: list[str]) -> dict[str, Any]:
    """Return the part of a table's entry that says when and how it may be used."""
    half = solution.intervals_s / 2
    start, end = float((solution.times_s - half).min()) / 86400, float((solution.times_s + half).max()) / 86400
    whole = table_entry("", "", interp, start, end, window_s / 86400, fields=fields)
    return {key: value for key, value in whole.items() if key not in {"role", "path"}}


def _result(
    context: Context, calibration: Calibration, tables: list[dict[str, Any]], about: dict[str, Any]
) -> StageResult:
    calsel = about | {
        "group": context.group,
        "calibrator": calibration.calibrator.name,
        "reference_antenna": calibration.reference,
        "model_flux_jy": calibration.model_jy,
        "flux": {name: vars(flux) for name, flux in calibration.fluxes.items()},
        "weak_members": list(calibration.weak),
        "tables": tables,
    }
    name = f"{context.group}_calsel.json"
    (context.workdir / name).write_text(json.dumps(calsel, indent=2, sort_keys=True) + "\n")
    made = [(entry["role"], entry["path"]) for entry in tables] + [("calsel", name)]
    drafts = tuple(
        ProductDraft(type="calibration_table", id=path, path=path, names=(f"{context.date}/{path}",), role=role)
        for role, path in made
    )
    return StageResult(products=drafts, figures=tuple(figures(calibration, context.params)), info=calsel)
