"""What to simulate: the configuration, its YAML files and the packaged presets."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, model_validator

from contimg.errors import BadConfig
from contimg.host.yamlfile import load_values
from contimg.models.base import Model, UtcTime

__all__ = ["PRESETS", "Drawn", "Gains", "Rfi", "SimulationConfig", "Source", "load_config", "preset"]

PRESETS = ("tiny", "small-group", "full")

RAW_PER_SUBBAND = 384
"""Correlator channels of one subband, 30.517578125 kHz each."""

SUBBANDS = 16

PerObservation = dict[int, tuple[int, ...]]


class _Settings(Model):
    model_config = ConfigDict(allow_inf_nan=False)


class Source(_Settings):
    """A point source, unpolarized: XX = YY = I."""

    name: str
    ra_deg: float
    """ICRS right ascension [deg]."""
    dec_deg: float
    """ICRS declination [deg]."""
    flux_jy: float
    """Flux density at 1.4 GHz [Jy]."""
    spectral_index: float = 0.0
    """S is proportional to nu to this power."""


class Drawn(_Settings):
    """Sources drawn at random over the strip that the group sees."""

    count: int = Field(ge=0)
    min_flux_jy: float = Field(default=0.05, gt=0)
    max_flux_jy: float = Field(default=3.0, gt=0)
    slope: float = -1.7
    """Exponent of the differential source counts dN/dS."""
    half_width_deg: float = Field(default=1.5, gt=0)
    """Greatest distance in declination from the pointing [deg]."""
    margin_deg: float = Field(default=2.0, ge=0)
    """How far the strip reaches on the sky before the first and after the last meridian [deg]."""
    separation_arcmin: float = Field(default=10.0, ge=0)
    """Least distance of a source from every other one [arcmin]."""
    mean_index: float = -0.7
    index_scatter: float = 0.2


class Gains(_Settings):
    """Complex gains per antenna and polarization, in the sense V_ij(MS) = g_i conj(g_j) V."""

    amplitude: float = Field(default=0.068, gt=0)
    """Typical amplitude; correlator counts are amplitude squared times Jy."""
    scatter: float = Field(default=0.15, ge=0, lt=0.5)
    """Relative scatter of the amplitudes."""
    delay_ns: float = Field(default=4.0, ge=0)
    """Residual delays are uniform within plus and minus this [ns]."""
    ripple: float = Field(default=0.05, ge=0, lt=0.2)
    """Relative scatter of each of the three slow ripples of the bandpass."""
    phase_drift_deg: float = Field(default=1.0, ge=0)
    """Random walk of each phase from one observation to the next [deg]."""
    amplitude_drift: float = Field(default=0.002, ge=0)
    """Random walk of each relative amplitude from one observation to the next."""


class Rfi(_Settings):
    """Transmitters that stand still, so their fringes do too."""

    narrow: int = Field(default=1, ge=0)
    """Channels with a transmitter that is on for most of an observation."""
    bursts: int = Field(default=1, ge=0)
    """Bursts per observation: one integration, 1/25 of the band."""
    min_flux_jy: float = Field(default=100.0, gt=0)
    max_flux_jy: float = Field(default=1000.0, gt=0)


class SimulationConfig(_Settings):
    """One run of the simulator."""

    seed: int = Field(default=1, ge=0)
    start: UtcTime = datetime(2026, 1, 25, 22, 26, 0, tzinfo=UTC)
    """Start of the first integration; with a calibrator: its first transit at or after this time is taken."""
    dec_deg: float = Field(default=16.15, ge=-40, le=89)
    """Apparent declination of the pointing [deg]."""
    observations: int = Field(default=1, ge=1, le=100_000)
    integrations: int = Field(default=24, ge=1, le=1_000_000)
    """Integrations per observation."""
    integration_s: float = Field(default=12.884901888, gt=0, le=3600)
    """96 samples of 0.134217728 s."""
    cadence_s: float | None = Field(default=None, gt=0, le=86400)
    """From the start of one observation to that of the next [s]; None: they follow without a gap. A longer one makes
    short observations that drift as far apart as true ones."""
    channels_per_subband: int = Field(default=48, ge=1, le=RAW_PER_SUBBAND)
    """Divides 384; fewer channels are wider, so that the band stays 187.5 MHz."""
    stations: tuple[int, ...] | None = None
    """Station numbers 1 to 117; None: the 96 that were active on 2026-01-25."""
    sources: tuple[Source, ...] = ()
    drawn: Drawn | None = None
    calibrator: str | None = None
    """Name of a source of the packaged 20 cm list, put at its place and with its flux density."""
    transit_in: int = Field(default=0, ge=0)
    """Observation in whose middle the calibrator crosses the meridian."""
    sefd_jy: float = Field(default=6500.0, ge=0)
    """Of one antenna and polarization; 0: no noise."""
    gains: Gains | None = Gains()
    """None: all gains 1, data in Jy."""
    rfi: Rfi | None = None
    dead_stations: tuple[int, ...] = ()
    """Signal and noise lost but for a thousandth."""
    noisy_stations: tuple[int, ...] = ()
    """Six times the receiver noise."""
    dropouts: float = Field(default=0.0, ge=0, lt=0.5)
    """Fraction of integrations of a subband that hold zeros because packets were lost."""
    restarts: tuple[int, ...] = ()
    """Observations that come first after a restart of the correlator; named about 100 s early."""
    restart_gap_s: float = Field(default=399.0, ge=0, le=86400)
    missing_subbands: PerObservation = Field(default_factory=dict)
    """Files that are never written, by observation."""
    late_subbands: PerObservation = Field(default_factory=dict)
    """Files that are written into ``late/``."""
    duplicate_subbands: PerObservation = Field(default_factory=dict)
    """Files written a second time under a name one second later, byte for byte the same."""
    unlike_subbands: PerObservation = Field(default_factory=dict)
    """Files written a second time under a name one second later, with other noise."""

    @property
    def length_s(self) -> float:
        """Length of an observation [s]."""
        return self.integrations * self.integration_s

    @model_validator(mode="after")
    def _consistent(self) -> SimulationConfig:
        if RAW_PER_SUBBAND % self.channels_per_subband:
            raise ValueError(f"channels_per_subband {self.channels_per_subband} does not divide {RAW_PER_SUBBAND}")
        if self.transit_in >= self.observations:
            raise ValueError(f"transit_in {self.transit_in} is not one of the {self.observations} observations")
        if self.cadence_s is not None and self.cadence_s < self.length_s:
            raise ValueError(f"cadence_s {self.cadence_s:g} is shorter than an observation of {self.length_s:g} s")
        self._check_stations()
        for field in ("missing_subbands", "late_subbands", "duplicate_subbands", "unlike_subbands"):
            for observation, subbands in getattr(self, field).items():
                if not 0 <= observation < self.observations or not all(0 <= each < SUBBANDS for each in subbands):
                    raise ValueError(f"{field}: {observation}: {subbands} names no observation or subband of this run")
        return self

    def _check_stations(self) -> None:
        chosen = self.stations or tuple(range(1, 118))
        if not set(chosen) <= set(range(1, 118)) or len(set(chosen)) != len(chosen) or len(chosen) < 2:
            raise ValueError("stations must be two or more different numbers from 1 to 117")
        for field in ("dead_stations", "noisy_stations"):
            if stray := set(getattr(self, field)) - set(chosen):
                raise ValueError(f"{field} {sorted(stray)} are not among the stations")


def preset(name: str, **changes: Any) -> SimulationConfig:
    """Return a packaged configuration with some fields changed.

    Parameters
    ----------
    name
        One of ``PRESETS``.
    changes
        Fields of `SimulationConfig`.

    Raises
    ------
    BadConfig
        If the preset or a field is unknown or a value is not valid.
    """
    if name not in PRESETS:
        nearest = get_close_matches(name, PRESETS, n=1, cutoff=0.0)[0]
        raise BadConfig(f"preset {name!r} is unknown; did you mean {nearest!r} (known: {', '.join(PRESETS)})?")
    with as_file(files(__package__) / f"{name}.yaml") as packaged:
        return _validated(f"preset {name}", load_values(packaged) | changes)


def load_config(path: Path) -> SimulationConfig:
    """Read a configuration from a YAML file.

    A key ``preset`` names a packaged configuration that the other keys change.

    Raises
    ------
    BadConfig
        If the file cannot be read, is no mapping, or a field is unknown or not valid.
    """
    content = load_values(path)
    if "preset" in content:
        return preset(str(content.pop("preset")), **content)
    return _validated(f"simulation file {path}", content)


def _validated(origin: str, content: dict[str, Any]) -> SimulationConfig:
    try:
        return SimulationConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        hint = ""
        if first["type"] == "extra_forbidden":
            near = get_close_matches(field, SimulationConfig.model_fields, n=1, cutoff=0.0)[0]
            hint = f"; did you mean {near!r}?"
        raise BadConfig(f"{origin}: {field} = {first['input']!r}: {first['msg']}{hint}") from error
