"""What is simulated: the packaged presets, or a YAML file with the same fields."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from contimg.errors import BadConfig
from contimg.models.base import Model

__all__ = ["PRESETS", "Recording", "SimulationConfig", "Source", "load_config"]


class Source(Model):
    """A circular Gaussian on the sky."""

    glon_deg: float
    glat_deg: float
    peak_k: float
    fwhm_arcmin: Annotated[float, Field(gt=0)] = 4.5
    flux_jy: float = 0.0
    """Above 0: the peak of each bin is the one that has this flux at its frequency."""


class Recording(Model):
    """One file."""

    obsid: int
    source: str
    mjd: float
    """Start, UTC [d]."""
    mode: Literal["lissajous", "raster"] = "lissajous"


class SimulationConfig(Model):
    """All files of a run."""

    recordings: tuple[Recording, ...]
    centre_glon_deg: float = 30.0689
    """Where recordings of no calibrator point."""
    centre_glat_deg: float = 0.0
    feeds: tuple[int, ...] = (1, 5)
    ground_feed: bool = True
    """Feed 20 stands last."""
    channels: Annotated[int, Field(ge=16, le=1024)] = 64
    """Per band of 2 GHz."""
    minutes: Annotated[float, Field(ge=2.0, le=120.0)] = 2.5
    scans: Annotated[int, Field(ge=1)] = 1
    seed: int = 1
    receiver_k: float = 45.0
    atmosphere_k: float = 8.0
    """Towards the zenith; times 1/sin el."""
    gain_rms: float = 4e-4
    """Fluctuation of the gain, common to all channels: P(f) = gain_rms² (f / 1 Hz)^gain_alpha per sample."""
    gain_alpha: float = -1.5
    gain_drift: float = 0.0
    """Relative change of the gain from the first to the last sample."""
    ground_k: float = 0.0
    """Per degree of azimuth on the sky."""
    noise: float = 1.0
    """Factor on the noise of the radiometer equation; 0: none."""
    dead_channels: Annotated[int, Field(ge=0)] = 1
    """Per feed and band, constant."""
    nan_samples: Annotated[int, Field(ge=0)] = 5
    """Per feed and band, all channels at once."""
    spikes: Annotated[int, Field(ge=0)] = 2
    """Single samples of 20 K in all channels, per feed."""
    plane_k: float = 0.05
    plane_deg: float = 0.3
    """The plane: plane_k · exp(-½ (b / plane_deg)²)."""
    sources: tuple[Source, ...] = (
        Source(glon_deg=30.0689, glat_deg=0.0, peak_k=1.0),
        Source(glon_deg=30.45, glat_deg=0.25, peak_k=0.5),
        Source(glon_deg=29.75, glat_deg=-0.3, peak_k=0.8),
    )


_TAUA = Source(glon_deg=184.5575, glat_deg=-5.7844, peak_k=0.0, flux_jy=350.0)
_GALACTIC = tuple(Recording(obsid=60001 + i, source="Field12", mjd=59600.72 + 0.04 * i) for i in range(4))
_RASTERS = tuple(Recording(obsid=60011 + i, source="TauA", mjd=59600.25 + 0.02 * i, mode="raster") for i in range(2))
_DEFAULT = SimulationConfig(recordings=_GALACTIC[:1])

PRESETS = {
    "tiny": _DEFAULT,
    "group": _DEFAULT.model_copy(
        update={
            "recordings": _GALACTIC + _RASTERS,
            "feeds": (1, 5, 8, 12),
            "minutes": 5.0,
            "scans": 2,
            "sources": (*_DEFAULT.sources, _TAUA),
        }
    ),
    "true": _DEFAULT.model_copy(update={"feeds": (1,), "channels": 1024}),
    "bench": _DEFAULT.model_copy(update={"feeds": (1, 5, 8, 12), "channels": 1024, "minutes": 10.0, "scans": 2}),
}


def load_config(preset: str, config: Path | None) -> SimulationConfig:
    """Return packaged settings, or those of a file.

    Raises
    ------
    BadConfig
        If the preset is unknown or the file has a wrong field.
    """
    if config is None:
        if preset not in PRESETS:
            raise BadConfig(f"preset {preset!r} of the COMAP simulator is unknown; there are {', '.join(PRESETS)}")
        return PRESETS[preset]
    try:
        return SimulationConfig.model_validate(YAML(typ="safe", pure=True).load(config.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadConfig(f"{config}: field {where!r} = {first['input']!r}: {first['msg']}") from error
    except (OSError, YAMLError, ValueError) as error:
        raise BadConfig(f"{config} cannot be read ({error}); write a YAML file with the fields of a preset") from error
