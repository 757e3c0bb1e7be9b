"""``contimg simulate``: raw files with known truth."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

__all__ = ["app"]

app = typer.Typer(help="Make raw files with known truth.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make raw files with known truth."""


@app.command("dsa110")
def dsa110(
    out: Path = typer.Argument(help="Directory for the subband files and truth.json."),
    config: Path | None = typer.Option(None, help="YAML file with the simulation's settings; default: a small group."),
    preset: str = typer.Option("small-group", help="Packaged settings: tiny, small-group or full."),
) -> None:
    """Write DSA-110 subband files (UVH5) and truth.json beside them."""
    from contimg.instruments.dsa110 import simulate  # noqa: PLC0415 - numba takes seconds

    console = Console(stderr=True)
    settings = simulate.load_config(config) if config else simulate.preset(preset)
    with console.status("simulating"):
        truth = simulate.simulate_dsa110(out, settings)
    console.print(f"{len(truth.observations)} observations below {out}; the truth is in {out / 'truth.json'}")
