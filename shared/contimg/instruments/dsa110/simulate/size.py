"""What a simulation will take of disk and memory, told before anything is allocated or written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from contimg.errors import ResourceExhausted
from contimg.instruments.dsa110.simulate.config import SUBBANDS, SimulationConfig

__all__ = ["WORKERS", "Size", "check_memory", "check_space", "size_of"]

WORKERS = 2
"""Subbands at work at a time."""
STATIONS = 96
_FILE, _ROW, _SAMPLE = 60_000, 48, 13
"""Bytes of a subband file: its header, a baseline at one time, and a complex number with its flag and its weight."""
_MODEL, _SOURCE = 48, 24
"""Bytes of memory: a visibility in all its forms, and a source in one channel at one time."""


@dataclass(frozen=True)
class Size:
    """Bytes."""

    subband: int
    """One subband file."""
    total: int
    """All files."""
    memory: int
    """At the peak, beside what Python and its packages take."""


def size_of(config: SimulationConfig) -> Size:
    """Compute the size of a simulation from its configuration; nothing is drawn or allocated."""
    stations = len(config.stations or ()) or STATIONS
    rows = stations * (stations + 1) // 2 * config.integrations
    subband = _FILE + rows * (_ROW + config.channels_per_subband * 2 * _SAMPLE)
    sources = len(config.sources) + (config.drawn.count if config.drawn else 0)
    apparent = sources * config.integrations * config.channels_per_subband * _SOURCE
    memory = WORKERS * (rows * config.channels_per_subband * 2 * _MODEL + apparent)
    return Size(subband, subband * SUBBANDS * config.observations, memory)


def check_memory(config: SimulationConfig) -> None:
    """Refuse a simulation that does not fit into the memory that is free now.

    Raises
    ------
    ResourceExhausted
        With the bytes of both.
    """
    needed, free = size_of(config).memory, psutil.virtual_memory().available
    if needed > free:
        raise ResourceExhausted(
            f"the simulation needs {needed} bytes of memory and {free} are free; "
            "ask for fewer integrations, channels_per_subband, stations or drawn sources"
        )


def check_space(out: Path, needed: int) -> None:
    """Refuse to write where the disk will not hold it: a library of HDF5 does not survive that.

    Raises
    ------
    ResourceExhausted
        With the bytes of both.
    """
    free = shutil.disk_usage(out).free
    if needed > free:
        raise ResourceExhausted(
            f"{out}: the simulation needs {needed} bytes of disk and {free} are free; free space or ask for less"
        )
