"""The modules of level 2 by name: their arguments and versions; imports no science.

A module counts as class, arguments and version. Keys that change no byte (A6 of the reference: plots, paths,
processes, overwriting) are understood everywhere and are no arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from contimg.errors import BadConfig
from contimg.models.base import Model
from contimg.models.spec import nearest

__all__ = [
    "DATASETS",
    "DEFAULT_CALLS",
    "IGNORED",
    "MODULES",
    "AtmosphereArgs",
    "Call",
    "CreateArgs",
    "FinalizeArgs",
    "GainArgs",
    "GainKwargs",
    "ModuleKind",
    "NoArgs",
    "NoiseArgs",
    "PostBinArgs",
    "ScanArgs",
    "SystemTemperatureArgs",
    "checked",
]

IGNORED = frozenset(
    [
        *("log_file", "sql_database", "database_file", "force_run", "overwrite", "nprocess", "n_processes", "n_rsyncs"),
        *("dry_run", "plot_dir", "output_dir", "config_dir", "debug_dir", "output_npy_path", "file_list_name"),
        *("save_dir_structure", "config_file", "dummy"),
    ]
)
"""Keys of the earlier files that are no part of a recipe; so is every key that begins with ``plot``."""

_VANE, _WEATHER, _PIXEL = "hk/antenna0/vane", "hk/array/weather", "spectrometer/pixel_pointing/pixel"
DATASETS: tuple[tuple[str, float], ...] = (
    *((f"spectrometer/{name}", 1.0) for name in ("MJD", "bands", "frequency", "feeds")),
    *((f"{_PIXEL}_{name}", 1.0) for name in ("az", "el", "ra", "dec", "xoffset", "yoffset")),
    *((f"{_VANE}/{name}", 0.01) for name in ("Tvane", "angle", "Tambient", "Tshroud")),
    (f"{_VANE}/utc", 1.0),
    ("hk/array/frame/features", 1.0),
    *((f"{_WEATHER}/{name}", 0.01) for name in ("airTemperature", "pressure", "dewPointTemp")),
    *((f"{_WEATHER}/{name}", 0.01) for name in ("windSpeed", "windDirection")),
)
"""What is copied from level 1, and the factor that gives its unit."""


class NoArgs(Model):
    """Nothing to choose."""


class CreateArgs(Model):
    """What is copied from level 1."""

    level1_attributes: tuple[Literal["comap"], ...] = ("comap",)
    """Groups whose attributes are copied."""
    level1_datasets: tuple[tuple[str, float], ...] = DATASETS
    """Pairs of dataset and factor; text that is a number is understood."""


class SystemTemperatureArgs(Model):
    """How the vane is read."""

    t_cold: Annotated[float, Field(ge=0, le=100)] | Literal["atmosphere"] = 2.73
    """Temperature of the sky in front of the open vane [K]. ``atmosphere``: 2.73 K and the slope with airmass that
    AtmosphereInObservation finds; GainFilterAndBin then divides each scan by what the gain was too small."""


class ScanArgs(Model):
    """Which samples are scans."""

    scan_status_code: int = 1
    """``lissajous_status`` while scanning."""
    start_cut: Annotated[int, Field(ge=0)] = 1000
    """Samples left out at the start of a Lissajous scan."""
    end_cut: Annotated[int, Field(ge=0)] = 100
    """… and at its end."""


class AtmosphereArgs(Model):
    """Which scans have enough range for a slope."""

    min_range_deg: Annotated[float, Field(ge=0)] = 0.2
    """Range of elevation below which only a median is kept, in degrees."""


class GainKwargs(Model):
    """The filter."""

    end_cut: Annotated[int, Field(ge=0, lt=400)] | None = None
    """Channels of 1024 left out at both edges of a band; none: that of the module."""
    gain_rms: Annotated[float, Field(gt=0, lt=1)] = 4e-4
    """WithPrior: P(f) = gain_rms² (f / 1 Hz)^gain_alpha per sample."""
    gain_alpha: Annotated[float, Field(ge=-4, le=0)] = -1.5


class GainArgs(Model):
    """Gain filter and binning."""

    end_cut: Annotated[int, Field(ge=0, lt=400)] = 50
    """Channels of 1024 left out at both edges of a band."""
    n_freq_bin: Literal[2] = 2
    filtered_binned_data_name: Annotated[str, Field(pattern=r"^[A-Za-z]\w*$")] = "binned_filtered_data"
    gain_filter_name: Literal["GainFilterBase", "GainFilterWithPrior"] = "GainFilterBase"
    gain_filter_kwargs: GainKwargs = GainKwargs()


class PostBinArgs(Model):
    """Baseline and outliers."""

    target_dataset: Annotated[str, Field(pattern=r"^[A-Za-z][\w/]*$")] = "binned_filtered_data"
    medfilt_length: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Samples of the running median that is subtracted."""
    output_group: Annotated[str, Field(pattern=r"^level2/\w+$")] = "level2/post_bin_cleaning"
    outlier_sigma: Annotated[float, Field(gt=0)] = 5.0


class NoiseArgs(Model):
    """White and red noise of the binned data."""

    n_channels: Literal[2] = 2
    output_group_name: Annotated[str, Field(pattern=r"^\w+$")] = "level2_noise_stats"
    target_tod_datasets: tuple[str, ...] = ("binned_filtered_data",)


class FinalizeArgs(Model):
    """Where the rows go."""

    group_name: Annotated[str, Field(pattern=r"^level2/\w+$")] = "level2/sql_snapshot"


@dataclass(frozen=True)
class ModuleKind:
    """What is known of a module without its science."""

    args: type[Model]
    target: str
    """``module:class`` in the package of the stage."""
    version: int = 1
    """Raised when the meaning of its output changes."""


MODULES = {
    "CheckLevel1FileExists": ModuleKind(NoArgs, "create:CheckLevel1FileExists"),
    "CreateLevel2File": ModuleKind(CreateArgs, "create:CreateLevel2File"),
    "SystemTemperature": ModuleKind(SystemTemperatureArgs, "vane:SystemTemperature"),
    "FindScans": ModuleKind(ScanArgs, "scans:FindScans"),
    "NoiseStatsLevel1": ModuleKind(NoArgs, "noise1:NoiseStatsLevel1"),
    "AtmosphereInObservation": ModuleKind(AtmosphereArgs, "atmosphere:AtmosphereInObservation"),
    "GainFilterAndBin": ModuleKind(GainArgs, "gain:GainFilterAndBin"),
    "PostBinCleaning": ModuleKind(PostBinArgs, "clean:PostBinCleaning"),
    "NoiseStatsLevel2": ModuleKind(NoiseArgs, "noise2:NoiseStatsLevel2"),
    "FinalizeLevel2Metadata": ModuleKind(FinalizeArgs, "finalize:FinalizeLevel2Metadata"),
}
"""In the order of the shipped project."""


@dataclass(frozen=True)
class Call:
    """A module with its arguments, complete."""

    name: str
    args: Any
    """An instance of the module's class of arguments."""


DEFAULT_CALLS: dict[str, dict[str, Any]] = {
    **{name: {} for name in MODULES},
    "SystemTemperature": {"t_cold": "atmosphere"},
    "GainFilterAndBin": {"gain_filter_name": "GainFilterWithPrior"},
    "PostBinCleaning": {"medfilt_length": 3000},
    "NoiseStatsLevel2": {"target_tod_datasets": ["binned_filtered_data", "binned_data"]},
}
"""What the shipped project asks for."""


def checked(name: str, args: dict[str, Any]) -> Call:
    """Return a call whose arguments are valid.

    Raises
    ------
    BadConfig
        If module, key or value is wrong; the nearest name is offered.
    """
    if name not in MODULES:
        raise BadConfig(f"module {name!r} is unknown{nearest(name, MODULES)}; known are {', '.join(MODULES)}")
    kind = MODULES[name].args
    for key in args:
        if key not in kind.model_fields:
            raise BadConfig(f"module {name}: key {key!r} is unknown{nearest(key, kind.model_fields)}")
    try:
        return Call(name, kind.model_validate(args))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadConfig(f"module {name}: key {where!r} = {first['input']!r}: {first['msg']}") from error
