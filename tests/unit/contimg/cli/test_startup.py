"""What a command imports before it begins: commands that only look wait for no science, no bus, no server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from contimg.cli.main import COMMANDS

HEAVY = {
    "astropy", "asyncio", "casacore", "casatasks", "casatools", "h5py", "matplotlib", "minio", "nats", "numba", "numpy",
    "prometheus_client", "pyuvdata", "scipy", "sqlalchemy", "structlog", "yaml",
    "contimg.bus", "contimg.host.local", "contimg.radio", "contimg.servers", "contimg.worker",
}  # fmt: skip
LIGHT = ("get", "show", "why", "trace", "log", "replay", "schema", "pipeline", "tonight")
LOADED = "import json, sys; {}; print(json.dumps(sorted(sys.modules)))"


def loaded(code):
    done = subprocess.run([sys.executable, "-c", LOADED.format(code)], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_list_of_commands_needs_next_to_nothing():
    found = loaded("from contimg.cli.main import app; import typer; typer.main.get_command(app)")
    assert not found & (HEAVY | {"pydantic", "ruamel.yaml", "sqlite3", "contimg.models.spec", "contimg.volume.layout"})


@pytest.mark.parametrize("command", LIGHT)
def test_a_command_that_looks_loads_what_it_needs(command):
    found = loaded(f"from contimg.cli.main import _loaded; _loaded({command!r})")
    assert not found & HEAVY


def test_specs_and_pipelines_are_known_without_science():
    code = (
        "from contimg.models.spec import specs; from contimg.models.instrument import pipelines; specs(), pipelines()"
    )
    assert not loaded(code) & HEAVY


def test_every_command_can_be_loaded():
    code = "from contimg.cli.main import COMMANDS, _loaded; [_loaded(name) for name in COMMANDS]"
    assert len(loaded(code)) > len(COMMANDS)
