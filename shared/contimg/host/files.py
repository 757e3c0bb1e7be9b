"""Groups and their status on one machine: what the API server keeps on a cluster.

``state/resources/<group>.json`` holds the last resource with the path it was read from, ``<group>.status.json`` its
status; the status is also written beside the user's YAML file.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import yaml
from pydantic import ValidationError

from contimg.errors import BadConfig
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.params import nearest
from contimg.volume.files import write_atomic
from contimg.volume.layout import Layout

__all__ = ["Shelf"]


class Shelf:
    """Resources and status files of one state directory."""

    def __init__(self, layout: Layout) -> None:
        self.directory = layout.state / "resources"

    def names(self) -> list[str]:
        """Return the names of all groups that were run here."""
        found = self.directory.glob("*.json") if self.directory.is_dir() else []
        return sorted(path.stem for path in found if not path.name.endswith(".status.json"))

    def put(self, group: ObservationGroup, source: Path) -> ObservationGroup:
        """Keep a resource; its generation rises when the spec changed."""
        generation = self._generation(group)
        kept = group.model_copy(update={"metadata": group.metadata.model_copy(update={"generation": generation})})
        record = {"source": str(source.resolve()), "resource": kept.model_dump(mode="json", by_alias=True)}
        write_atomic(self.directory / f"{group.name}.json", json.dumps(record, indent=1))
        return kept

    def _generation(self, group: ObservationGroup) -> int:
        if group.name not in self.names():
            return 1
        try:
            known, _ = self.get(group.name)
        except BadConfig:  # damaged: what it said is not known, so this counts as a change
            status = self.status(group.name)
            return status.observed_generation + 1 if status else 1
        return known.metadata.generation + (known.spec != group.spec)

    def get(self, name: str) -> tuple[ObservationGroup, Path]:
        """Return a kept resource and the file it came from.

        Raises
        ------
        BadConfig
            If no group of this name was run here (the nearest is offered) or its record is damaged.
        """
        path = self.directory / f"{name}.json"
        if name not in self.names():
            hint = nearest(name, self.names()) or f"; {len(self.names())} groups are known"
            raise BadConfig(f"no group {name!r} was run with state directory {self.directory.parent}{hint}")
        try:
            record = json.loads(path.read_text())
            return ObservationGroup.model_validate(record["resource"]), Path(record["source"])
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise BadConfig(
                f"{path} is damaged ({type(error).__name__}); start 'contimg run' with its YAML again"
            ) from error

    def source(self, name: str) -> Path:
        """Return the YAML file a group was read from."""
        return self.get(name)[1]

    def status(self, name: str) -> GroupStatus | None:
        """Return the last status of a group; None if there is none that can be read."""
        path = self.directory / f"{name}.status.json"
        try:
            return GroupStatus.model_validate_json(path.read_text())
        except (FileNotFoundError, ValidationError):
            return None

    def put_status(self, group: ObservationGroup, source: Path, status: GroupStatus) -> None:
        """Keep a status, and show it beside the user's file (best effort: that directory may be read-only)."""
        text = status.model_dump_json(by_alias=True, exclude_none=True)
        write_atomic(self.directory / f"{group.name}.status.json", text)
        beside = source.with_name(f"{source.stem}.status.yaml")
        with contextlib.suppress(OSError):
            beside.write_text(yaml.safe_dump({"status": json.loads(text)}, sort_keys=False))
