"""``contimg replay``: open another round of tries for a group."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from contimg.cli.places import DataBase, StageBase
from contimg.cli.run import layout_of
from contimg.errors import BadConfig
from contimg.host.files import Shelf
from contimg.host.yamlfile import load_group, load_model
from contimg.models.group import ObservationGroup
from contimg.volume.files import write_atomic

__all__ = ["raise_replay", "replay"]

REPLAY = re.compile(r"^(\s+replay:\s*)(\d+)", re.MULTILINE)
SPEC = re.compile(r"^spec:[^\S\n]*(#.*)?$", re.MULTILINE)


def raise_replay(text: str, current: int) -> str:
    """Return the YAML text with ``spec.replay`` one higher; comments and order are kept.

    Raises
    ------
    BadConfig
        If the text has no block ``spec:`` to put it in.
    """
    wanted = current + 1
    if current and REPLAY.search(text):
        return REPLAY.sub(rf"\g<1>{wanted}", text, count=1)
    if not SPEC.search(text):
        raise BadConfig("the group's YAML has no block 'spec:' of its own line; add 'replay: 1' below it by hand")
    return SPEC.sub(lambda match: f"{match.group(0)}\n  replay: {wanted}", text, count=1)


def replay(
    group: str = typer.Argument(help="Name of a group that was run here, or its YAML file."),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
) -> None:
    """Raise spec.replay in the group's YAML file: failed tasks get new tries with the next run."""
    is_file = Path(group).suffix in {".yaml", ".yml"}
    path = Path(group) if is_file else Shelf(layout_of(stage_base, data_base, None)).source(group)
    resource, _ = load_group(path)
    write_atomic(path, raise_replay(path.read_text(), resource.spec.replay))
    changed = load_model(path, ObservationGroup)
    typer.echo(f"{path}: spec.replay is now {changed.spec.replay}; start it with: contimg run {path}")
