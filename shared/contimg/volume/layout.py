"""The directory tree, the data types and the ``CONTIMG_*`` variables; the only place that knows a path.

The tree is the one of the design. A :class:`Layout` is made once per process, from the environment or by
hand in tests, and is passed on; nothing else reads the environment for a directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DATA_TYPES", "ENVIRONMENT", "DataType", "Layout"]


@dataclass(frozen=True)
class DataType:
    """One row of the design's table of data types."""

    name: str
    stage: str
    home: str
    """Relative to the stage base; an own variable may move it."""
    variable: str
    """Environment variable that overrides the first part of the home."""
    workspace: str
    """Directory below ``workspace/active``; empty when nothing is worked there."""
    archive: str
    """Directory below the archive's ``products``; empty: never published."""
    archive_optional: bool
    """True: published only when the group's ``publish.include`` names it."""
    retention_days: int | None
    """How long an unwanted run is kept on staging; None: for ever."""


def _rows() -> list[DataType]:
    return [
        DataType("raw_ms", "convert", "raw/ms", "CONTIMG_RAW_MS_DIR", "conversion", "", False, 7),
        DataType("group", "group", "raw/groups", "", "grouping", "metadata", False, None),
        DataType(
            "calibration_table",
            "solve",
            "calibrated/tables",
            "CONTIMG_CALIBRATION_TABLES_DIR",
            "calibration",
            "caltables",
            True,
            90,
        ),
        DataType("calibrated_ms", "apply", "calibrated/ms", "CONTIMG_CALIBRATED_MS_DIR", "calibration", "ms", True, 7),
        DataType("image", "image", "images", "CONTIMG_IMAGES_DIR", "imaging", "images", True, 30),
        DataType("mosaic", "mosaic", "mosaics", "CONTIMG_MOSAICS_DIR", "mosaicking", "mosaics", False, 90),
        DataType("catalog", "crossmatch", "products/catalogs", "", "crossmatching", "catalogs", False, 90),
        DataType("metadata", "publish", "products/metadata", "", "publishing", "metadata", False, 90),
    ]


DATA_TYPES: dict[str, DataType] = {row.name: row for row in _rows()}
"""By name; drives paths, publication and retention."""

ENVIRONMENT: dict[str, str] = {
    "CONTIMG_STAGE_BASE": "/stage/dsa110-contimg",
    "CONTIMG_DATA_BASE": "/data/dsa110-contimg",
    "CONTIMG_RAW_MS_DIR": "{stage}/raw/ms",
    "CONTIMG_CALIBRATED_MS_DIR": "{stage}/calibrated/ms",
    "CONTIMG_CALIBRATION_TABLES_DIR": "{stage}/calibrated/tables",
    "CONTIMG_IMAGES_DIR": "{stage}/images",
    "CONTIMG_MOSAICS_DIR": "{stage}/mosaics",
    "CONTIMG_PRODUCTS_DIR": "{stage}/products",
    "CONTIMG_WORKSPACE_DIR": "{stage}/workspace",
    "CONTIMG_INCOMING_DIR": "{data}/incoming",
    "CONTIMG_PUBLISHED_PRODUCTS_DIR": "{data}/products",
    "CONTIMG_STATE_DIR": "{data}/state",
    "CONTIMG_CATALOG_DIR": "{data}/state/config/catalogs",
}
"""Every variable with its default; ``{stage}`` and ``{data}`` stand for the two bases."""


@dataclass(frozen=True)
class Layout:
    """All directories of one shard."""

    stage_base: Path
    data_base: Path
    overrides: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Layout:
        """Read the ``CONTIMG_*`` variables; empty ones count as unset."""
        env = os.environ if environment is None else environment
        given = {name: env[name] for name in ENVIRONMENT if env.get(name)}
        stage = Path(given.pop("CONTIMG_STAGE_BASE", ENVIRONMENT["CONTIMG_STAGE_BASE"]))
        data = Path(given.pop("CONTIMG_DATA_BASE", ENVIRONMENT["CONTIMG_DATA_BASE"]))
        return cls(stage, data, given)

    def as_environment(self) -> dict[str, str]:
        """Return every variable with its effective value, for a child process or ``contimg doctor``."""
        bases = {"CONTIMG_STAGE_BASE": str(self.stage_base), "CONTIMG_DATA_BASE": str(self.data_base)}
        return bases | {name: str(self._directory(name)) for name in ENVIRONMENT if name not in bases}

    def _directory(self, variable: str) -> Path:
        if variable in self.overrides:
            return Path(self.overrides[variable])
        return Path(ENVIRONMENT[variable].format(stage=self.stage_base, data=self.data_base))

    def home(self, data_type: str) -> Path:
        """Return the home of a data type on staging."""
        row = DATA_TYPES[data_type]
        if row.variable:
            return self._directory(row.variable)
        if row.home.startswith("products/"):
            return self.products / row.home.removeprefix("products/")
        return self.stage_base / row.home

    def runs(self, data_type: str) -> Path:
        """Return the directory of the committed runs of a data type."""
        return self.home(data_type) / ".runs"

    def run(self, data_type: str, task: str) -> Path:
        """Return the directory of one committed run."""
        return self.runs(data_type) / task

    @property
    def products(self) -> Path:
        """Validated products on staging, ready to publish."""
        return self._directory("CONTIMG_PRODUCTS_DIR")

    def active(self, workspace: str) -> Path:
        """Return ``workspace/active/<workspace>``; only this part moves with ``CONTIMG_WORKSPACE_DIR``."""
        return self._directory("CONTIMG_WORKSPACE_DIR") / "active" / workspace

    @property
    def failed(self) -> Path:
        """Error logs and kept files of failed attempts, by date."""
        return self.stage_base / "workspace" / "failed"

    @property
    def locks(self) -> Path:
        """One lock file per task; never deleted."""
        return self.stage_base / ".locks"

    @property
    def incoming(self) -> Path:
        """Raw files as they arrive, read-only."""
        return self._directory("CONTIMG_INCOMING_DIR")

    @property
    def archive(self) -> Path:
        """Published products on the bulk disk."""
        return self._directory("CONTIMG_PUBLISHED_PRODUCTS_DIR")

    @property
    def catalogs(self) -> Path:
        """Reference catalogs."""
        return self._directory("CONTIMG_CATALOG_DIR")

    @property
    def state(self) -> Path:
        """Databases, records, configuration, logs."""
        return self._directory("CONTIMG_STATE_DIR")

    @property
    def databases(self) -> dict[str, Path]:
        """The four indexes of the design."""
        return {n: self.state / f"{n}.sqlite3" for n in ("ingest", "products", "cal_registry", "data_registry")}

    @property
    def observations(self) -> Path:
        """Observation records, by date."""
        return self.state / "observations"

    @property
    def quarantine(self) -> Path:
        """One JSON record per raw file that was refused."""
        return self.state / "quarantine"

    @property
    def attempts(self) -> Path:
        """Copies of the attempt records, ``<task>/<number>.json``."""
        return self.state / "attempts"

    @property
    def manifests(self) -> Path:
        """Copies of all manifests, ``<task>.json``; they outlive the runs."""
        return self.state / "manifests"

    @property
    def groups(self) -> Path:
        """Registered publications, ``<group>.json``."""
        return self.state / "groups"

    @property
    def flags(self) -> Path:
        """Manual flag files, ``<date>.txt``."""
        return self.state / "config" / "flags"

    @property
    def logs(self) -> Path:
        """Logs of attempts and of the processes."""
        return self.state / "logs"
