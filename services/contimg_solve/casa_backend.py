"""The second backend: ``casatasks`` on a copy of the data that carries the same sky model in MODEL_DATA.

It yields the same :class:`~contimg_solve.scans.Calibration` as the own solver, so that tables, figures
and records do not depend on the backend.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.radio import caltable
from contimg.radio.casa import casatasks, check_casadata
from contimg.radio.ms.edit import add_model, copy, rename
from contimg.radio.ms.read import Recording
from contimg_solve.calibration import Calibration, Flux
from contimg_solve.data import antenna_names, blocks
from contimg_solve.model import Sky, point, visibilities
from contimg_solve.params import SolveParams
from contimg_solve.scans import Scan
from contimg_solve.solution import Solution, referenced, require
from contimg_solve.transit import Member

__all__ = ["Casa", "bandpass_casa", "member_gain_casa", "solve_scans_casa"]

_PREFIX = "A"
"""Put before antenna names in the copies: CASA takes a name like ``103`` for a number."""


@dataclass(frozen=True)
class Casa:
    """A measurement set prepared for casatasks."""

    tasks: Any
    ms: Path
    scratch: Path
    params: SolveParams
    reference: str
    names: tuple[str, ...]
    """Antennas, without the prefix."""
    aliases: dict[str, str]
    """Field names that CASA cannot take for an expression, by the true names."""

    @classmethod
    def prepared(cls, recordings: Sequence[tuple[Recording, Sky, str]], params: SolveParams, workdir: Path) -> Casa:
        """Copy recordings into one measurement set with their models; fields get the given names.

        Raises
        ------
        BadConfig
            If casadata is absent or too old for the data.
        """
        check_casadata(recordings[0][0].mid_s / 86400)
        scratch = workdir / "casa"
        scratch.mkdir()
        tasks = casatasks(scratch)
        parts: list[Path] = []
        aliases = {name: f"field{k}" for k, name in enumerate(dict.fromkeys(name for _, _, name in recordings))}
        for k, (recording, sky, name) in enumerate(recordings, 1):
            parts.append(scratch / f"part{k}.ms")
            _copy_with_model(recording, sky, aliases[name], k, parts[-1])
        ms = parts[0]
        if len(parts) > 1:
            ms = scratch / "all.ms"
            tasks.concat([str(p) for p in parts], concatvis=str(ms), copypointing=False)
        names = antenna_names([r for r, _, _ in recordings])
        wanted = [_PREFIX + name for name in params.reference_antennas if name in names]
        return cls(tasks, ms, scratch, params, ",".join(wanted), names, aliases)

    def _common(self) -> dict[str, Any]:
        shortest = f">{self.params.min_uv_wavelengths:g}lambda" if self.params.min_uv_wavelengths else ""
        return {
            "refant": self.reference,
            "uvrange": shortest,
            "minsnr": self.params.min_snr,
            "minblperant": self.params.min_baselines,
        }

    def bandpass(self, field: str) -> Path:
        """Run ``bandpass`` over all scans of a field and return the table."""
        out = self.scratch / "bandpass"
        self.tasks.bandpass(
            str(self.ms),
            caltable=str(out),
            field=self.aliases[field],
            solint="inf",
            combine="scan,obs",
            bandtype="B",
            solnorm=False,
            fillgaps=self.params.fill_gaps,
            **self._common(),
        )
        return out

    def gains(self, bandpass: Path, nchan: int, solint: str = "inf", mode: str = "ap") -> Path:
        """Run ``gaincal`` per scan (or interval) on the inner channels and return the table."""
        out = self.scratch / f"gains_{mode}_{solint}"
        edge = int(nchan * self.params.edge_fraction)
        self.tasks.gaincal(
            str(self.ms),
            caltable=str(out),
            spw=f"0:{edge}~{nchan - 1 - edge}",
            solint=solint,
            gaintype="G",
            calmode=mode,
            gaintable=[str(bandpass)],
            **self._common(),
        )
        return out

    def read(self, path: Path) -> Solution:
        """Read a table and take the prefix off again."""
        found = Solution.from_table(caltable.read(path), [_PREFIX + name for name in self.names])
        names = {alias: name for name, alias in self.aliases.items()}
        return replace(found, fields=tuple(names[f] for f in found.fields))

    def fluxscale(self, gains: Path, reference: str, transfer: Sequence[str]) -> tuple[Path, dict[str, Flux]]:
        """Run ``fluxscale``; return the table of rescaled gains and the fluxes found."""
        out = self.scratch / "scaled"
        answer = self.tasks.fluxscale(
            str(self.ms),
            caltable=str(gains),
            fluxtable=str(out),
            reference=[self.aliases[reference]],
            transfer=[self.aliases[name] for name in transfer],
        )
        entries = {str(e["fieldName"]): e["0"] for e in answer.values() if isinstance(e, dict) and "fieldName" in e}
        found = {name: entries[self.aliases[name]] for name in transfer}
        return out, {
            name: Flux(float(e["fluxd"][0]), float(e["fluxdErr"][0]), int(e["numSol"][0])) for name, e in found.items()
        }


def _copy_with_model(recording: Recording, sky: Sky, field: str, scan: int, target: Path) -> None:
    copy(recording.path, target)
    rename(target, _PREFIX, field, scan)
    add_model(target, _models(recording, sky))


def _models(recording: Recording, sky: Sky) -> Iterator[NDArray[np.complex64]]:
    for block in blocks(recording, recording.antennas):
        predicted = visibilities(sky, block, recording.freqs_hz)
        model = np.zeros((*predicted.shape, len(recording.corr_types)), np.complex64)
        model[..., list(recording.hands)] = predicted[..., None]
        yield model


def solve_scans_casa(scans: Sequence[Scan], params: SolveParams, workdir: Path) -> Calibration:
    """Do what :func:`contimg_solve.scans.solve_scans` does with bandpass, gaincal and fluxscale."""
    first = next(scan for scan in scans if scan.primary)
    inputs = [(s.recording, point(s.recording, s.flux_jy), s.field.name) for s in scans]
    casa = Casa.prepared(inputs, params, workdir)
    bandpass = casa.bandpass(first.field.name)
    gains = casa.gains(bandpass, len(first.recording.freqs_hz))
    others = sorted({s.field.name for s in scans if not s.primary})
    found: dict[str, Flux] = {}
    if others:
        gains, found = casa.fluxscale(gains, first.field.name, others)
    solved, reference = referenced(require(casa.read(bandpass), params), casa.names, params.reference_antennas)
    gain, _ = referenced(_with_lengths(casa.read(gains), scans), casa.names, (reference,))
    shutil.rmtree(casa.scratch)
    return Calibration(
        names=casa.names,
        reference=reference,
        bandpass=solved,
        gains=gain,
        gains_flagged=gain.flagged(),
        fields=tuple({scan.field.name: scan.field for scan in scans}.values()),
        calibrator=first.field,
        model_jy=float(first.flux_jy.mean()),
        fluxes=found,
    )


def _with_lengths(gains: Solution, scans: Sequence[Scan]) -> Solution:
    """Give each solution the length of its scan, which CASA leaves at 0."""
    lengths = [min(scans, key=lambda s: abs(s.recording.mid_s - t)).recording.length_s for t in gains.times_s]
    return replace(gains, intervals_s=np.array(lengths))


def bandpass_casa(member: Member, name: str, params: SolveParams, workdir: Path) -> tuple[Solution, str]:
    """Do what :func:`contimg_solve.transit.bandpass` does with the task ``bandpass``."""
    recording = member.recording
    assert member.sky is not None  # noqa: S101 - the calibrator is always in its sky
    casa = Casa.prepared([(recording, member.sky, name)], params, workdir)
    solved = replace(casa.read(casa.bandpass(name)), intervals_s=np.array([recording.length_s]))
    shutil.rmtree(casa.scratch)
    return referenced(require(solved, params), casa.names, params.reference_antennas)


def member_gain_casa(
    member: Member, bandpass: Path, names: Sequence[str], params: SolveParams, workdir: Path
) -> Solution:
    """Solve the gains of one member with the task ``gaincal``, a bandpass table applied.

    Raises
    ------
    BadInput
        If the antennas of the member and of the bandpass differ: CASA goes by their numbers.
    """
    recording = member.recording
    if recording.antennas != tuple(names):
        raise BadInput(
            f"{recording.path} and {bandpass.name} list other antennas; use backend stefcal, which goes by name"
        )
    assert member.sky is not None  # noqa: S101 - members without a sky are not solved
    casa = Casa.prepared([(recording, member.sky, recording.unit)], params, workdir)
    solved = casa.read(casa.gains(bandpass, len(recording.freqs_hz)))
    shutil.rmtree(casa.scratch)
    return replace(solved, intervals_s=np.array([recording.length_s]))
