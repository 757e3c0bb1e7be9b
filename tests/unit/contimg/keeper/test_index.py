"""Databases that are missing, foreign, damaged or no files at all."""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import closing

import pytest
from keeper_site import everything

from contimg.errors import BadConfig, Damaged, Unavailable
from contimg.keeper import index as index_module
from contimg.keeper.index import Index
from contimg.keeper.keeper import Keeper
from contimg.keeper.readonly import open_readonly
from contimg.keeper.schema import DATABASES, SCHEMA_VERSION
from contimg.models.instrument import instruments
from contimg.models.spec import data_types, specs
from contimg.volume.layout import Layout


def pragma(index, name, what):
    with index.begin(name) as connection:
        return connection.execute(f"PRAGMA {what}").fetchone()[0]


def test_the_four_databases_of_the_design(layout):
    layout.state.mkdir(parents=True)
    index = Index.open(layout)
    assert index.rebuilt == set(DATABASES) == set(layout.databases)
    for name, path in layout.databases.items():
        assert path.is_file()
        assert pragma(index, name, "journal_mode") == "wal"
        assert pragma(index, name, "synchronous") == 1
        assert pragma(index, name, "user_version") == SCHEMA_VERSION
    index.close()
    assert Index.open(layout).rebuilt == frozenset()


def test_tables_and_columns_name_no_stage_telescope_or_type():
    words = {word for script in DATABASES.values() for word in script.replace(",", " ").replace("(", " ").split()}
    names = {word.lower() for word in words}
    assert names & {*specs(), *instruments(), *data_types(), "uvh5", "ms", "fits", "casa"} == set()


def occupy(path, kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            os.chdir(path.parent)
            listener.bind(path.name)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    else:
        path.write_text("my shopping list")


@pytest.mark.parametrize("kind", ["directory", "pipe", "socket", "dangling", "foreign"])
@pytest.mark.parametrize("name", ["ingest", "cal_registry"])
def test_something_else_in_place_of_a_database_is_refused_in_a_sentence(layout, kind, name, monkeypatch):
    monkeypatch.chdir(layout.data_base.parent)
    Keeper(layout).close()
    path = layout.databases[name]
    occupy(path, kind)
    with pytest.raises(BadConfig, match=rf"{path} .*(no SQLite database|cannot be opened).*CONTIMG_STATE_DIR"):
        Keeper(layout)
    with pytest.raises(BadConfig, match=rf"{path}"):
        open_readonly(layout)
    if kind == "foreign":
        assert path.read_text() == "my shopping list"
    path.rmdir() if kind == "directory" else path.unlink()
    Keeper(layout).close()  # the lock was given back


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


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("harm", [spoil, set_version, truncate])
@pytest.mark.parametrize("name", sorted(DATABASES))
def test_a_useless_database_is_moved_aside_and_built_again(site, layout, harm, name):
    with Keeper(layout) as keeper:
        site.observation(0)
        keeper.register_run(*site.commit("mosaic", "g"))
        before = everything(keeper)
    path = layout.databases[name]
    for number in (1, 2):
        harm(path)
        with pytest.raises(Damaged, match=rf"{path} is damaged or of another release; the keeper .* builds it again"):
            open_readonly(layout)
        with Keeper(layout) as keeper:
            assert keeper.index.rebuilt == {name}
            assert everything(keeper) == before
        assert path.with_name(f"{name}.sqlite3.aside-{number}").is_file()


def use(layout):
    with Keeper(layout) as keeper:
        everything(keeper)
        list(keeper.queries.rows("runs"))


def test_damage_in_a_large_database_is_noticed_at_use_and_mended_at_the_next_start(site, layout, monkeypatch):
    """A large one is not read through at start."""
    monkeypatch.setattr(index_module, "CHECKED_BYTES", 0)
    with Keeper(layout) as keeper:
        for number in range(30):
            keeper.register_run(*site.commit("convert", f"u{number}"))
        before = everything(keeper)
    path = layout.databases["products"]
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = b"\xff" * (len(content) - 3 * 4096)
    path.write_bytes(content)
    ask = open_readonly(layout)
    with pytest.raises(Damaged, match=rf"{path} is damaged .*builds it again"):
        list(ask.rows("runs"))
    with pytest.raises(Damaged, match="is damaged"):
        use(layout)
    with Keeper(layout) as keeper:
        assert keeper.index.rebuilt == {"products"}
        assert everything(keeper) == before


def test_a_database_that_loses_a_table_while_open_is_an_outage_not_a_crash(site, layout):
    with Keeper(layout) as keeper:
        with keeper.index.begin("products") as connection:
            connection.execute("DROP TABLE wanted")
        with pytest.raises(Unavailable, match=r"the index .*products.sqlite3 cannot be used \(no such table: wanted\)"):
            keeper.register_run(*site.commit("mosaic", "g"))


def mark_and_fail(index, word):
    with index.begin("products") as connection:
        connection.execute("INSERT INTO wanted VALUES (?, '')", (word,))
        raise ZeroDivisionError


def test_a_failed_transaction_leaves_nothing_and_the_next_one_works(layout):
    with Keeper(layout) as keeper:
        for word in ("first", "second"):
            with pytest.raises(ZeroDivisionError):
                mark_and_fail(keeper.index, word)
        assert keeper.index.rows("products", "SELECT * FROM wanted") == []


def test_a_path_with_odd_characters(tmp_path):
    odd = Layout(tmp_path / "s", tmp_path / "da ta?mode=memory#%41")
    Keeper(odd).close()
    assert odd.databases["ingest"].is_file()
