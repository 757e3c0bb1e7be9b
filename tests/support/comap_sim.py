"""Simulated level-1 files for the tests of COMAP, and their truth."""

from __future__ import annotations

import json
from pathlib import Path

import structlog

from contimg.instruments.comap.modules import DEFAULT_CALLS
from contimg.instruments.comap.simulate.config import PRESETS, SimulationConfig
from contimg.instruments.comap.simulate.run import simulate_comap
from contimg.stage import StageContext, StageResult
from contimg_comap_level2.params import Level2Params, ModuleCall
from contimg_comap_level2.stage import Level2Stage

__all__ = ["calls", "config", "level2_of", "result_of", "simulated", "truth"]


def config(**changes: object) -> SimulationConfig:
    """Return preset tiny with other values."""
    return SimulationConfig.model_validate(PRESETS["tiny"].model_dump() | changes)


def simulated(directory: Path, **changes: object) -> Path:
    """Write the one file of a configuration."""
    (path,) = simulate_comap(directory, config(**changes))
    return path


def truth(path: Path) -> dict:
    """Return the truth of a simulated file."""
    found = json.loads((path.parent / "truth.json").read_text())
    return next(one for one in found["recordings"].values() if one["file"] == path.name)


def calls(**args: dict) -> tuple[ModuleCall, ...]:
    """Return the shipped list of modules with other arguments, by module; None leaves a module out."""
    chosen = {**DEFAULT_CALLS, **args}
    return tuple(ModuleCall(name=name, args=given) for name, given in chosen.items() if given is not None)


def result_of(path: Path, workdir: Path, modules: tuple[ModuleCall, ...] = ()) -> StageResult:
    """Run stage level2 in this process."""
    workdir.mkdir(parents=True, exist_ok=True)
    context: StageContext[Level2Params] = StageContext(
        unit=path.name.split("-")[1],
        group="test",
        date="2022-01-21",
        params=Level2Params(modules=modules),
        workdir=workdir,
        raw=(path,),
        log=structlog.get_logger(),
    )
    return Level2Stage().run(context)


def level2_of(path: Path, workdir: Path, modules: tuple[ModuleCall, ...] = ()) -> Path:
    """Return the level-2 file of a level-1 file."""
    result_of(path, workdir, modules)
    return workdir / f"Level2_{path.name}"
