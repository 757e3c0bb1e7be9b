"""The directory tree and the ``CONTIMG_*`` variables that move its parts; the only place that knows a path.

The tree is the one of the design; homes of data types and directories of reference data are what the installed stages
declare. A :class:`Layout` is made once per process, from the environment or by hand in tests, and is passed on;
nothing else reads the environment for a directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contimg.errors import BadConfig, BadInput
from contimg.models.instrument import instruments
from contimg.models.observation import ObservationRecord, RawFile
from contimg.models.spec import data_types, references

__all__ = ["Layout", "variables"]

_FIXED = {
    "CONTIMG_STAGE_BASE": ("/stage/dsa110-contimg", "The fast disk: products at work, committed runs."),
    "CONTIMG_DATA_BASE": ("/data/dsa110-contimg", "The bulk disk: raw files, archive, state."),
    "CONTIMG_PRODUCTS_DIR": ("{stage}/products", "Validated products on the fast disk, ready to publish."),
    "CONTIMG_WORKSPACE_DIR": ("{stage}/workspace", "Moves ``active``, where attempts work, and nothing else."),
    "CONTIMG_INCOMING_DIR": ("{data}/incoming", "Raw files as they arrive; several directories are separated by ':'."),
    "CONTIMG_PUBLISHED_PRODUCTS_DIR": ("{data}/products", "The archive on the bulk disk."),
    "CONTIMG_STATE_DIR": ("{data}/state", "Databases, records, configuration, logs."),
}
_BASES = ("CONTIMG_STAGE_BASE", "CONTIMG_DATA_BASE")


def variables() -> list[tuple[str, str, str]]:
    """Return name, default and meaning of every variable; ``{stage}``, ``{data}``, ``{state}`` are directories."""
    found = [(name, default, meaning) for name, (default, meaning) in _FIXED.items()]
    found += [
        (row.variable, f"{{stage}}/{row.home}", f"Home of data type ``{row.name}``.")
        for row in data_types().values()
        if row.variable
    ]
    found += [
        (each.roots_variable, "", f"Raw files of instrument ``{name}``, read in place; directories separated by ':'.")
        for name, each in instruments().items()
        if each.roots_variable
    ]
    return found + [
        (row.variable, f"{{state}}/{row.directory}", f"Reference data of kind ``{row.kind}``.")
        for row in references().values()
        if row.variable
    ]


@dataclass(frozen=True)
class Layout:
    """All directories of one shard.

    Raises
    ------
    BadConfig
        If the name of a directory holds a ``$``, which shells and libraries take for a variable, or raw files arrive
        nowhere.
    """

    stage_base: Path
    data_base: Path
    overrides: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, place in self.as_environment().items():
            if "$" in str(Path(place).absolute()):
                raise BadConfig(
                    f"{name}: the directory {place} has a '$' in its name, which programs take for a variable"
                )
        if not self.incoming_roots:
            raise BadConfig("CONTIMG_INCOMING_DIR names no directory; name the ones that raw files arrive in")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Layout:
        """Read the variables; empty ones count as unset."""
        env = os.environ if environment is None else environment
        given = {name: env[name] for name, _, _ in variables() if env.get(name)}
        stage, data = (Path(given.pop(name, _FIXED[name][0])) for name in _BASES)
        return cls(stage, data, given)

    def as_environment(self) -> dict[str, str]:
        """Return every variable with its effective value, for a child process or ``contimg doctor``."""
        bases = {"CONTIMG_STAGE_BASE": str(self.stage_base), "CONTIMG_DATA_BASE": str(self.data_base)}
        places = {name: self._place(name, default) for name, default, _ in variables() if name not in bases}
        homes = {row.variable: str(self.home(row.name)) for row in data_types().values() if row.variable}
        return bases | places | homes

    def _place(self, variable: str, default: str) -> str:
        state = "" if variable == "CONTIMG_STATE_DIR" else str(self.state)
        return self.overrides.get(variable) or default.format(stage=self.stage_base, data=self.data_base, state=state)

    def _fixed(self, variable: str) -> Path:
        return Path(self._place(variable, _FIXED[variable][0]))

    # -- staging ----------------------------------------------------------------------------------------------------

    def home(self, data_type: str) -> Path:
        """Return the home of a data type on staging.

        Raises
        ------
        BadConfig
            If no installed stage makes that type.
        """
        row = data_types().get(data_type)
        if row is None:
            raise BadConfig(f"no installed stage makes data type {data_type!r}; install the one that does")
        if row.variable in self.overrides:
            return Path(self.overrides[row.variable])
        if self.leaves(data_type):
            return self.products / row.home.removeprefix("products/")
        return self.stage_base / row.home

    @staticmethod
    def leaves(data_type: str) -> bool:
        """Whether the home lies below ``products/``: what leaves for the archive is named by hard link there."""
        return data_types()[data_type].home.startswith("products/")

    def runs(self, data_type: str) -> Path:
        """Return the directory of the committed runs of a data type."""
        return self.home(data_type) / ".runs"

    def run(self, data_type: str, task: str) -> Path:
        """Return the directory of one committed run."""
        return self.runs(data_type) / task

    @property
    def products(self) -> Path:
        """Validated products on staging, ready to publish."""
        return self._fixed("CONTIMG_PRODUCTS_DIR")

    def active(self, workspace: str) -> Path:
        """Return ``workspace/active/<workspace>``; only this part moves with ``CONTIMG_WORKSPACE_DIR``."""
        return self._fixed("CONTIMG_WORKSPACE_DIR") / "active" / workspace

    @property
    def failed(self) -> Path:
        """Error logs and kept files of failed attempts, by date."""
        return self.stage_base / "workspace" / "failed"

    @property
    def locks(self) -> Path:
        """One lock file per task; never deleted."""
        return self.stage_base / ".locks"

    def cache(self, library: str) -> Path:
        """Return where a library keeps what it compiled or computed; losing it costs time alone."""
        return self.stage_base / ".cache" / library

    # -- raw files and archive --------------------------------------------------------------------------------------

    @property
    def incoming_roots(self) -> tuple[Path, ...]:
        """Where raw files arrive or lie, read-only: the incoming directories, then those of single instruments."""
        names = [each.roots_variable for each in instruments().values() if each.roots_variable]
        given = [str(self._fixed("CONTIMG_INCOMING_DIR")), *(self._place(name, "") for name in names)]
        return tuple(Path(root) for text in given for root in text.split(":") if root)

    @property
    def incoming(self) -> Path:
        """The first of the incoming directories."""
        return self.incoming_roots[0]

    def raw_file(self, raw: RawFile) -> Path:
        """Return where a raw file of a record lies.

        Raises
        ------
        BadConfig
            If its incoming directory is configured no more.
        """
        roots = self.incoming_roots
        if raw.root >= len(roots):
            raise BadConfig(
                f"CONTIMG_INCOMING_DIR names {len(roots)} directories, {raw.path} lies in number {raw.root + 1}"
            )
        return roots[raw.root] / raw.path

    @property
    def archive(self) -> Path:
        """Published products on the bulk disk."""
        return self._fixed("CONTIMG_PUBLISHED_PRODUCTS_DIR")

    @property
    def archive_locks(self) -> Path:
        """One lock file per group or task that is being published."""
        return self.archive / ".locks"

    @property
    def superseded(self) -> Path:
        """Second names of published products whose name leads to a later one now, by task."""
        return self.archive / "superseded"

    # -- state ------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        """Databases, records, configuration, logs."""
        return self._fixed("CONTIMG_STATE_DIR")

    def reference(self, kind: str) -> Path:
        """Return the directory of a kind of reference data."""
        row = references()[kind]
        return Path(self.overrides.get(row.variable) or self.state / row.directory)

    def reference_file(self, name: str) -> Path:
        """Return the file behind a name of reference data, ``<kind>:<name>``.

        Raises
        ------
        BadInput
            If no installed stage knows the kind, or the name leads elsewhere.
        """
        kind, _, rest = name.partition(":")
        if kind not in references() or not rest or Path(rest).name != rest:
            raise BadInput(f"reference data {name!r} is not <kind>:<file> with a kind of {', '.join(references())}")
        return self.reference(kind) / f"{rest}{references()[kind].suffix}"

    @property
    def databases(self) -> dict[str, Path]:
        """The four indexes of the design."""
        return {name: self.database(name) for name in ("ingest", "products", "cal_registry", "data_registry")}

    def database(self, name: str) -> Path:
        """Return where an index lies, also one that an instrument keeps."""
        return self.state / f"{name}.sqlite3"

    @property
    def keeper_lock(self) -> Path:
        """Held by the one keeper that serves this state directory."""
        return self.state / "keeper.lock"

    def plan(self, task: str) -> Path:
        """Return the copy of the plan that a run made; like manifests the copies outlive the runs."""
        return self.state / "plans" / f"{task}.json"

    def inputs(self, digest: str) -> Path:
        """Return where inputs lie that were too many for a message."""
        return self.state / "inputs" / f"{digest}.json"

    @property
    def resources(self) -> Path:
        """What was run here: groups and surveys with their status."""
        return self.state / "resources"

    @property
    def wishes(self) -> Path:
        """YAML files of groups and surveys that a host as a process of its own follows."""
        return self.state / "config" / "groups"

    @property
    def nats(self) -> Path:
        """Directory of the message server that a run on one machine starts."""
        return self.state / "nats"

    @property
    def observations(self) -> Path:
        """Observation records, by date."""
        return self.state / "observations"

    def record(self, observation: ObservationRecord) -> Path:
        """Return where the record of an observation lies."""
        return self.observations / observation.date / f"{observation.id}.json"

    def find_observation(self, observation: str) -> Path | None:
        """Return the record of an observation of which the id alone is known; None: there is none."""
        return next(iter(self.observations.glob(f"*/{observation}.json")), None)

    @property
    def ingest_fact(self) -> Path:
        """Where ingest stands, written by it after each scan."""
        return self.state / "ingest.json"

    @property
    def ingest_rules(self) -> Path:
        """What surveys say about file sets, for ingest."""
        return self.state / "ingest-rules.json"

    @property
    def quarantine(self) -> Path:
        """One JSON record per raw file that was refused."""
        return self.state / "quarantine"

    @property
    def attempts(self) -> Path:
        """Copies of the attempt records, ``<task>/<number>.json``."""
        return self.state / "attempts"

    def wait(self, task: str) -> Path:
        """Return where the worker says why no attempt of a task can begin."""
        return self.attempts / task / "wait.json"

    @property
    def manifests(self) -> Path:
        """Copies of all manifests, ``<date>/<task>.json``; they outlive the runs."""
        return self.state / "manifests"

    @property
    def groups(self) -> Path:
        """Registered publications, ``<group>.json``."""
        return self.state / "groups"

    @property
    def logs(self) -> Path:
        """Logs of attempts and of the processes."""
        return self.state / "logs"
