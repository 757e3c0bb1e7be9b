"""Tables of the four SQLite indexes. They hold nothing that is not on disk in a manifest or a record."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

__all__ = ["METADATA", "SCHEMA_VERSION", "VIEWS"]

SCHEMA_VERSION = 1
"""Stored in ``user_version``; another number means: move aside, scan again."""

INGEST = MetaData()
PRODUCTS = MetaData()
CAL_REGISTRY = MetaData()
DATA_REGISTRY = MetaData()

METADATA: dict[str, MetaData] = {
    "ingest": INGEST,
    "products": PRODUCTS,
    "cal_registry": CAL_REGISTRY,
    "data_registry": DATA_REGISTRY,
}
"""By database name, as in ``Layout.databases``."""


def _text(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, String, primary_key=key, nullable=False, default="")


def _stamp() -> Column[str]:
    """Size and modification time of the JSON file a row was read from: an unchanged file is not read again."""
    return Column("stamp", String, nullable=False, default="")


observations = Table(
    "observations",
    INGEST,
    _text("id", key=True),
    _text("telescope"),
    _text("state"),
    _text("start"),
    _text("end"),
    Column("integrations", Integer),
    Column("integration_s", Float),
    Column("ra_deg", Float),
    Column("dec_deg", Float),
    _text("role"),
    _text("source"),
    Column("bytes", Integer),
    Column("found", Integer),
    Column("expected", Integer),
    _text("digest"),
    _text("sealed_at"),
    _text("reasons"),
    Column("record", Text, nullable=False),
    _stamp(),
    Index("observations_start", "start"),
)

files = Table(
    "files",
    INGEST,
    _text("observation", key=True),
    Column("ordinal", Integer, primary_key=True),
    _text("path"),
    _text("role"),
    Column("bytes", Integer),
    _text("digest"),
    Index("files_path", "path"),
)

quarantine = Table(
    "quarantine",
    INGEST,
    _text("record_path", key=True),
    _text("path"),
    _text("reason"),
    _text("sentence"),
    _text("time"),
    Column("record", Text, nullable=False),
    _stamp(),
)

runs = Table(
    "runs",
    PRODUCTS,
    _text("task", key=True),
    _text("stage"),
    _text("unit"),
    _text("group_id"),
    _text("home"),
    _text("date"),
    _text("verdict"),
    Column("present", Boolean, nullable=False),
    _text("version"),
    Column("recipe_version", Integer),
    Column("attempt", Integer),
    _text("host"),
    _text("started"),
    _text("finished"),
    Column("wall_s", Float),
    Column("cpu_s", Float),
    Column("peak_bytes", Integer),
    _text("wanted_at"),
    Column("manifest", Text, nullable=False),
    _stamp(),
    Index("runs_unit", "unit", "stage"),
    Index("runs_group", "group_id"),
)

products = Table(
    "products",
    PRODUCTS,
    _text("task", key=True),
    _text("path", key=True),
    _text("type"),
    _text("id"),
    _text("role"),
    Column("bytes", Integer),
    _text("sha256"),
    Index("products_sha256", "sha256"),
)

figures = Table(
    "figures",
    PRODUCTS,
    _text("task", key=True),
    _text("name", key=True),
    Column("value", Float),
    _text("unit"),
    _text("limit_words"),
    _text("verdict"),
)

attempts = Table(
    "attempts",
    PRODUCTS,
    _text("task", key=True),
    Column("number", Integer, primary_key=True),
    Column("round", Integer),
    _text("stage"),
    _text("unit"),
    _text("group_id"),
    _text("state"),
    _text("host"),
    Column("pid", Integer),
    _text("started"),
    _text("finished"),
    _text("error"),
    _text("message"),
    Column("counted", Boolean),
    Column("wall_s", Float),
    Column("record", Text, nullable=False),
    _stamp(),
)

caltables = Table(
    "caltables",
    CAL_REGISTRY,
    _text("task", key=True),
    _text("path", key=True),
    _text("table_type"),
    _text("group_id"),
    _text("calibrator"),
    _text("transit"),
    Column("dec_deg", Float),
    _text("valid_start"),
    _text("valid_end"),
    _text("verdict"),
    Column("present", Boolean, nullable=False),
    Column("own", Boolean, nullable=False),
    Column("record", Text, nullable=False),
)

data_registry = Table(
    "data_registry",
    DATA_REGISTRY,
    _text("task", key=True),
    _text("path", key=True),
    _text("data_type"),
    _text("data_id"),
    _text("role"),
    _text("status"),
    _text("stage_path"),
    _text("published_path"),
    _text("s3_key"),
    _text("names"),
    _text("group_id"),
    _text("verdict"),
    _text("created_at"),
    _text("published_at"),
    Index("data_registry_type", "data_type", "status"),
)

data_relationships = Table(
    "data_relationships",
    DATA_REGISTRY,
    _text("parent", key=True),
    _text("child", key=True),
    _text("kind"),
    Index("data_relationships_child", "child"),
)

groups = Table(
    "groups",
    DATA_REGISTRY,
    _text("group_id", key=True),
    _text("spec_digest"),
    _text("task"),
    Column("published", Boolean),
    _text("reason"),
    _text("verdict"),
    _text("at"),
    Column("record", Text, nullable=False),
    _stamp(),
)

plans = Table("plans", DATA_REGISTRY, _text("task", key=True), _text("group_id"), _stamp())

publications = Table(
    "publications",
    DATA_REGISTRY,
    _text("plan", key=True),
    _text("task", key=True),
    _text("path", key=True),
    _text("type"),
    _text("name"),
    _text("s3_key"),
    _text("group_id"),
    Index("publications_task", "task"),
)

damaged = Table("damaged", PRODUCTS, _text("path", key=True), _text("sentence"))

VIEWS: dict[str, tuple[str, ...]] = {
    "products": (
        (
            "CREATE VIEW ms_index AS SELECT p.path, p.type, r.unit AS timestamp, r.stage, r.group_id, r.task, "
            "r.verdict, r.present, p.bytes, r.finished FROM products p JOIN runs r ON r.task = p.task "
            "WHERE p.type IN ('raw_ms', 'calibrated_ms')"
        ),
    ),
}
"""``ms_index`` is the name the design uses for what is known of measurement sets."""
