"""What was run with one state directory: ``state/resources``, which on a cluster is the API server's business.

``<name>.json`` holds the last group with the file it was read from, ``<name>.status.json`` its status, ``surveys/`` the
same of surveys. The status is also written beside the user's YAML file.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TypeVar

from contimg.errors import BadConfig
from contimg.host.resources import Status
from contimg.host.yamlfile import dumps
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.spec import nearest
from contimg.models.survey import Survey, SurveyStatus
from contimg.volume import disk
from contimg.volume.layout import Layout

__all__ = ["ResourceStore"]

R = TypeVar("R", ObservationGroup, Survey)


class ResourceStore:
    """Groups and surveys of one state directory with their status."""

    def __init__(self, layout: Layout) -> None:
        self.directory = layout.resources

    def names(self) -> list[str]:
        """Return the names of all groups that were run here."""
        return _names(self.directory)

    def surveys(self) -> list[str]:
        """Return the names of all surveys that were followed here."""
        return _names(self.directory / "surveys")

    def put(self, resource: R, source: Path) -> R:
        """Keep a resource; its generation rises when the spec changed."""
        path = self._path(resource)
        generation = self._generation(resource, path)
        metadata = resource.metadata.model_copy(update={"generation": generation})
        kept = resource.model_copy(update={"metadata": metadata, "status": None})
        text = json.dumps({"source": str(source.resolve()), "resource": kept.model_dump(mode="json", by_alias=True)})
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            disk.write(path, text)
        return kept

    def _path(self, resource: ObservationGroup | Survey) -> Path:
        place = self.directory / "surveys" if isinstance(resource, Survey) else self.directory
        return place / f"{resource.name}.json"

    def _generation(self, resource: R, path: Path) -> int:
        if not path.is_file():
            return 1
        try:
            known, _ = _read(path, type(resource))
        except BadConfig:  # damaged: what it said is not known, so this counts as a change
            status = self._status(path, type(resource))
            return status.observed_generation + 1 if status else 1
        return known.metadata.generation + (known.spec != resource.spec)

    def get(self, name: str) -> tuple[ObservationGroup, Path]:
        """Return a kept group and the file it came from.

        Raises
        ------
        BadConfig
            If no group of this name was run here (the nearest is offered) or its record is damaged.
        """
        if name not in self.names():
            hint = nearest(name, self.names()) or f"; {len(self.names())} groups are known"
            raise BadConfig(f"no group {name!r} was run with state directory {self.directory.parent}{hint}")
        return _read(self.directory / f"{name}.json", ObservationGroup)

    def source(self, name: str) -> Path:
        """Return the YAML file a group was read from; raises as :meth:`get`."""
        return self.get(name)[1]

    def is_removed(self, name: str) -> bool:
        """Whether the YAML file of a group is gone: then nobody wants the group any more."""
        try:
            return not self.source(name).exists()
        except BadConfig:  # damaged: nobody knows where its file is
            return False

    def status(self, name: str) -> GroupStatus | None:
        """Return the last status of a group; None if there is none that can be read."""
        found = self._status(self.directory / f"{name}.json", ObservationGroup)
        return found if isinstance(found, GroupStatus) else None

    def survey_status(self, name: str) -> SurveyStatus | None:
        """Return the last status of a survey; None if there is none that can be read."""
        found = self._status(self.directory / "surveys" / f"{name}.json", Survey)
        return found if isinstance(found, SurveyStatus) else None

    def _status(self, path: Path, kind: type[ObservationGroup | Survey]) -> Status | None:
        model = SurveyStatus if kind is Survey else GroupStatus
        try:
            return model.model_validate_json(path.with_suffix(".status.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def put_status(self, resource: ObservationGroup | Survey, beside: Path, status: Status) -> None:
        """Keep a status, and show it in a file of the user's (best effort: that directory may be read-only)."""
        text = status.model_dump_json(by_alias=True, exclude_none=True)
        disk.write(self._path(resource).with_suffix(".status.json"), text)
        with contextlib.suppress(OSError):
            beside.write_text(dumps({"status": json.loads(text)}), encoding="utf-8")


def _names(directory: Path) -> list[str]:
    found = directory.glob("*.json") if directory.is_dir() else []
    return sorted(path.stem for path in found if not path.name.endswith(".status.json"))


def _read(path: Path, kind: type[R]) -> tuple[R, Path]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return kind.model_validate(record["resource"]), Path(record["source"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadConfig(
            f"{path} is damaged ({type(error).__name__}); start 'contimg run' with its YAML again"
        ) from error
