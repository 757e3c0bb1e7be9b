"""Resources of one machine: the YAML files a user wrote, followed while they are edited.

A group that a survey forms gets a YAML file of its own below ``state/resources``, to be edited like any other.
Unpublished groups of earlier runs are listed too, suspended: they ask for nothing, and the clean-up spares what they
will need.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from contimg.engine.groups import LABEL
from contimg.errors import BadConfig
from contimg.host.resources import Change, Resource, Status
from contimg.host.store import ResourceStore
from contimg.host.yamlfile import dumps, load_resources
from contimg.models.group import GroupSpec, ObservationGroup, Selection
from contimg.models.pipeline import Pipeline
from contimg.models.reason import Phase
from contimg.models.resource import Metadata
from contimg.models.survey import Survey
from contimg.volume import disk
from contimg.volume.layout import Layout

__all__ = ["FileResources"]

POLL_S = 0.2
"""How often the files are looked at; a change counts when two looks in a row see the same."""
_log = structlog.get_logger(__name__)
Stamp = tuple[int, int, int]
Seen = dict[Path, Stamp]


@dataclass(frozen=True)
class _Followed:
    """A resource as its file says, and where its status is shown."""

    resource: Resource
    source: Path
    beside: Path


class FileResources:
    """Resources of one state directory.

    Parameters
    ----------
    layout
        Where they are kept.
    sources
        Files that are followed; a directory stands for every ``*.yaml`` in it, now and later.
    tell
        Told in a sentence what is wrong with a file that was edited; what it said before stays valid.

    Raises
    ------
    BadConfig
        If a file that was named cannot be read, or two name the same resource.
    """

    def __init__(self, layout: Layout, sources: Sequence[Path], tell: Callable[[str], None] | None = None) -> None:
        self.store = ResourceStore(layout)
        self._sources = [source.absolute() for source in sources]
        self._tell = tell or (lambda sentence: _log.warning("refused", sentence=sentence))
        self._seen: Seen = {}
        self._files: dict[Path, tuple[_Followed, ...]] = {}
        self._refused: dict[Path, str] = {}
        self._follow(self._look(), first=True)
        self._follow(self._look())  # the groups that the surveys among them have formed

    # -- what the host asks -------------------------------------------------------------------------------------

    async def list(self) -> Sequence[Resource]:
        """Return what the followed files say with the status, and the groups of earlier runs, suspended."""
        followed = [self._with_status(item.resource) for item in self._all()]
        names = {item.name for item in followed if isinstance(item, ObservationGroup)}
        return [
            *followed,
            *(each for name in self.store.names() if name not in names for each in self._bystander(name)),
        ]

    async def watch(self) -> AsyncIterator[Change]:
        """Tell of every change of a followed file."""
        before = self._seen
        while True:
            await asyncio.sleep(POLL_S)
            now = self._look()
            if now == before and now != self._seen:
                surveys = self.surveys()
                changes = [*self._follow(now)]
                if self.surveys() != surveys:  # the groups that a survey which came back has formed
                    changes += self._follow(self._look())
                for change in changes:
                    yield change
            before = now

    async def create(self, group: ObservationGroup) -> None:
        """Write the YAML file of a group that a survey formed, unless it is there."""
        path = self.store.directory / f"{group.name}.yaml"
        if not path.exists():
            value = group.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"status"})
            head = {"apiVersion": group.api_version, "kind": group.kind}
            disk.write(path, dumps(head | value))
        self._follow(self._look())

    async def put_status(self, resource: ObservationGroup | Survey, status: Status) -> None:
        """Keep the status of a followed resource, and show it beside its file."""
        for item in self._all():
            if item.resource.kind == resource.kind and item.resource.name == resource.name:
                await asyncio.to_thread(self.store.put_status, resource, item.beside, status)

    # -- the files ----------------------------------------------------------------------------------------------

    def groups(self) -> Sequence[str]:
        """Return the names of the groups that are followed."""
        return [item.resource.name for item in self._all() if isinstance(item.resource, ObservationGroup)]

    def surveys(self) -> Sequence[str]:
        """Return the names of the surveys that are followed."""
        return [item.resource.name for item in self._all() if isinstance(item.resource, Survey)]

    def _all(self) -> Iterator[_Followed]:
        return (item for items in self._files.values() for item in items)

    def _with_status(self, resource: Resource) -> Resource:
        if isinstance(resource, ObservationGroup):
            return resource.model_copy(update={"status": self.store.status(resource.name)})
        if isinstance(resource, Survey):
            return resource.model_copy(update={"status": self.store.survey_status(resource.name)})
        return resource

    def _bystander(self, name: str) -> Iterator[ObservationGroup]:
        """Return an unfinished group of an earlier run; one whose record is damaged stands there without a wish.

        One whose file a person removed is no group of its survey any more: its recordings are free again.
        """
        status = self.store.status(name)
        if status is not None and status.phase is Phase.PUBLISHED:
            return
        try:
            group, source = self.store.get(name)
            if not source.exists() and group.metadata.labels.get(LABEL) in self.surveys():
                bare = group.metadata.model_copy(update={"labels": {}})
                group = group.model_copy(update={"metadata": bare})
        except BadConfig as error:
            self._tell(str(error))
            group = _unknown(name)
        spec = group.spec.model_copy(update={"suspend": True})
        yield group.model_copy(update={"spec": spec, "status": status})

    def _look(self) -> Seen:
        """Return the state of every file that is followed."""
        paths = [path for source in self._sources for path in _files_of(source)]
        if self.surveys():
            paths += _files_of(self.store.directory)
        seen: Seen = {}
        for path in paths:
            with contextlib.suppress(OSError):
                found = path.stat()
                seen[path] = (found.st_mtime_ns, found.st_size, found.st_ino)
        return seen

    def _follow(self, now: Seen, *, first: bool = False) -> Sequence[Change]:
        """Read what changed, and again what was refused; return the resources concerned."""
        changed = [*self._gone(now)]
        stale = [path for path, stamp in now.items() if self._seen.get(path) != stamp or path in self._refused]
        refused: dict[Path, BadConfig] = {}
        while stale:
            refused = {path: error for path in stale if (error := self._refusal(path)) is not None}
            changed += [_change(item) for path in stale if path not in refused for item in self._files[path]]
            stale = list(refused) if len(refused) < len(stale) else []  # what one file gave up another may have now
        for path, error in refused.items():
            if first and path in self._sources:
                raise error
            if self._refused.get(path) != str(error):
                self._tell(str(error))
        self._refused = {path: str(error) for path, error in refused.items()}
        for source in self._sources if first else ():
            if source not in now and not source.is_dir():
                load_resources(source)  # says what is wrong with it
        self._seen = now
        return changed

    def _refusal(self, path: Path) -> BadConfig | None:
        """Read a file; return what is wrong with it, then what it said before stays valid."""
        try:
            self._files[path] = self._read(path)
        except BadConfig as error:
            return error
        return None

    def _gone(self, now: Seen) -> Iterator[Change]:
        """Forget the resources of files that are not there any more."""
        for path in self._files.keys() - now.keys():
            yield from map(_change, self._files.pop(path))

    def _read(self, path: Path) -> tuple[_Followed, ...]:
        found = [item.resource for item in load_resources(path)]
        if path.parent == self.store.directory and path not in self._sources:
            found = [item for item in found if item.metadata.labels.get(LABEL) in self.surveys()]
        shown = [item for item in found if not isinstance(item, Pipeline)]
        for item in found:
            other = next((o for o in self._all() if _same(o.resource, item) and o.source != path), None)
            if other is not None:
                raise BadConfig(f"{path}: {item.kind} {item.name!r} stands in {other.source} too; keep one of them")
        return tuple(self._kept(item, path, alone=len(shown) == 1) for item in found)

    def _kept(self, resource: Resource, path: Path, *, alone: bool) -> _Followed:
        beside = path.with_name(f"{path.stem if alone else resource.name}.status.yaml")
        if isinstance(resource, ObservationGroup):
            return _Followed(self.store.put(resource, path), path, beside)
        kept = self.store.put(resource, path) if isinstance(resource, Survey) else resource
        return _Followed(kept, path, beside)


def _unknown(name: str) -> ObservationGroup:
    """Return a group whose wish nobody knows: no pipeline has this name, so that nothing is cleaned up meanwhile."""
    spec = GroupSpec(pipeline="damaged-record", observations=Selection(members=("unknown",)))
    return ObservationGroup(metadata=Metadata(name=name), spec=spec)


def _files_of(source: Path) -> list[Path]:
    found = sorted(source.glob("*.yaml")) if source.is_dir() else [source]
    return [path for path in found if not path.name.endswith(".status.yaml")]


def _change(item: _Followed) -> Change:
    return Change(item.resource.kind, item.resource.name)


def _same(one: Resource, other: Resource) -> bool:
    return (one.kind, one.name) == (other.kind, other.name)
