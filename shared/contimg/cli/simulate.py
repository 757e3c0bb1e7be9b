"""``contimg simulate``: raw files with known truth."""

from __future__ import annotations

from pathlib import Path

import typer

from contimg.errors import BadConfig
from contimg.models.instrument import instruments
from contimg.models.spec import nearest

__all__ = ["simulate"]


def simulate(
    name: str = typer.Argument(help="Instrument, e.g. dsa110."),
    out: Path = typer.Argument(help="Directory for the raw files and the truth."),
    config: Path | None = typer.Option(None, help="YAML file with the simulation's settings, instead of a preset."),
    preset: str = typer.Option("", help="Packaged settings; default: the first that the instrument has."),
) -> None:
    """Make raw files of an instrument with known truth beside them."""
    known = {key: item for key, item in instruments().items() if item.presets}
    if name not in known:
        raise BadConfig(f"no simulator for {name!r}{nearest(name, known)}; there are {', '.join(known)}")
    typer.echo(known[name].simulate(out, preset or known[name].presets[0], config))
