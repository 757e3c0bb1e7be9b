from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text

from contimg.errors import BadConfig, Unavailable
from contimg.keeper import Keeper
from contimg.keeper.index import Index
from contimg.keeper.tables import SCHEMA_VERSION
from contimg.volume.layout import Layout


def pragma(index, name, what):
    with index.begin(name) as connection:
        return connection.execute(text(f"PRAGMA {what}")).scalar()


def test_the_four_databases_of_the_design(layout):
    index = Index.open(layout)
    assert set(index.rebuilt) == {"ingest", "products", "cal_registry", "data_registry"}
    for name, path in layout.databases.items():
        assert path.is_file()
        assert pragma(index, name, "journal_mode") == "wal"
        assert pragma(index, name, "synchronous") == 1
        assert pragma(index, name, "user_version") == SCHEMA_VERSION
    index.close()
    assert Index.open(layout).rebuilt == ()


def test_ms_index_of_the_design_is_a_view(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("convert", "2026-01-25T22:00:00")
        keeper.register_run(task, home)
        with closing(sqlite3.connect(layout.databases["products"])) as user:
            rows = user.execute("SELECT timestamp, type, present FROM ms_index").fetchall()
    assert rows == [("2026-01-25T22:00:00", "raw_ms", 1)]


def test_a_directory_in_place_of_a_database(layout):
    path = layout.databases["cal_registry"]
    path.mkdir(parents=True)
    with pytest.raises(BadConfig, match=rf"{path} is a directory; move it away .* or set CONTIMG_STATE_DIR"):
        Keeper(layout)
    path.rmdir()
    Keeper(layout).close()  # the lock was given back


def test_another_kind_of_file_in_place_of_a_database(layout):
    layout.state.mkdir(parents=True)
    path = layout.databases["ingest"]
    path.write_text("my shopping list")
    with pytest.raises(BadConfig, match=rf"{path} is no SQLite database; move the file away"):
        Keeper(layout)
    assert path.read_text() == "my shopping list"


def test_a_state_directory_that_is_a_file(layout):
    layout.data_base.mkdir(parents=True)
    layout.state.write_text("")
    with pytest.raises(BadConfig, match=rf"{layout.state}"):
        Keeper(layout)


def spoil(path):
    """Overwrite the pages of a database, but not its first bytes."""
    content = bytearray(path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    path.write_bytes(content)


def set_version(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")


@pytest.mark.parametrize("harm", [spoil, set_version])
def test_a_useless_database_is_moved_aside_and_rebuilt(site, layout, harm):
    with Keeper(layout) as keeper:
        keeper.register_run(*site.commit("mosaic", "g"))
        before = keeper.facts()
    path = layout.databases["products"]
    for number in (1, 2):
        harm(path)
        with Keeper(layout) as keeper:
            assert keeper.index.rebuilt == ("products",)
            assert keeper.facts() == before
        assert path.with_name(f"products.sqlite3.aside-{number}").is_file()


def test_a_database_that_loses_a_table_while_open_is_an_outage_not_a_crash(site, layout):
    with Keeper(layout) as keeper:
        with keeper.index.begin("products") as connection:
            connection.execute(text("DROP TABLE figures"))
        with pytest.raises(Unavailable, match=r"the index products.sqlite3 cannot be used \(no such table: figures\)"):
            keeper.register_run(*site.commit("mosaic", "g"))


def test_a_path_with_odd_characters(tmp_path):
    odd = Layout(tmp_path / "s", tmp_path / "da ta?mode=memory#%41")
    Keeper(odd).close()
    assert odd.databases["ingest"].is_file()
