"""``contimg replay``: open another round of tries for a group."""

from __future__ import annotations

import io
from pathlib import Path

import typer
from ruamel.yaml import YAML

from contimg.cli.cluster import Cluster
from contimg.cli.places import DataBase, StageBase, checked_name, is_yaml, layout_of
from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.host.yamlfile import load_group
from contimg.volume import disk

__all__ = ["raise_replay", "replay"]


def raise_replay(text: str, name: str) -> tuple[str, int]:
    """Return the YAML text with ``spec.replay`` of a group one higher, and the new value; comments and order stay.

    Raises
    ------
    BadConfig
        If no group of this name stands there.
    """
    writer = YAML()
    writer.preserve_quotes = True
    writer.width = 4096
    documents = list(writer.load_all(text))
    for document in documents:
        if isinstance(document, dict) and (document.get("metadata") or {}).get("name") == name:
            spec = document["spec"]
            raised = int(spec.get("replay", 0)) + 1
            spec["replay"] = raised
            stream = io.StringIO()
            writer.dump_all(documents, stream)
            return stream.getvalue(), raised
    raise BadConfig(f"no group {name!r} stands in this file; name the YAML file that holds it")


def _replay_there(cluster: Cluster, word: str) -> None:
    """Raise it in the cluster's group; a file of the user stays as it is."""
    name = load_group(Path(word))[0].name if is_yaml(word) else checked_name(word, "name of a group")
    raised = cluster.store().raise_replay(name)
    typer.echo(f"{name} in {cluster.kube.place}: spec.replay is now {raised}")


def replay(
    ctx: typer.Context,
    group: str = typer.Argument(help="Name of a group that was run here, or its YAML file."),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
) -> None:
    """Raise spec.replay in the group's YAML file: failed tasks get new tries, at once if the group is being run."""
    if ctx.obj is not None:
        _replay_there(ctx.obj, group)
        return
    if is_yaml(group):
        path = Path(group)
        name = load_group(path)[0].name
    else:
        name = checked_name(group, "name of a group")
        path = ResourceStore(layout_of(stage_base, data_base)).source(name)
    text, raised = raise_replay(path.read_text(encoding="utf-8"), name)
    disk.write(path, text)
    typer.echo(f"{path}: spec.replay is now {raised}; start it with: contimg run {path}")
