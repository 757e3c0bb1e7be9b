"""A simulator of DSA-110: places by the frames of astropy, sources by direct sum, nothing shared with what it tests."""

from __future__ import annotations

from contimg.instruments.dsa110.simulate.config import (
    PRESETS,
    Drawn,
    Gains,
    Rfi,
    SimulationConfig,
    Source,
    load_config,
    preset,
)
from contimg.instruments.dsa110.simulate.run import simulate_dsa110
from contimg.instruments.dsa110.simulate.truth import Truth, TruthFile, TruthObservation

__all__ = [
    "PRESETS",
    "Drawn",
    "Gains",
    "Rfi",
    "SimulationConfig",
    "Source",
    "Truth",
    "TruthFile",
    "TruthObservation",
    "load_config",
    "preset",
    "simulate_dsa110",
]
