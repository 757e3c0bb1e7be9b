from __future__ import annotations

import os
import subprocess
import sys

import pytest

from contimg.errors import BadConfig
from contimg.radio import casa


def test_environment_names_a_configuration_that_python_can_read(tmp_path):
    env = casa.casa_environment(tmp_path)
    values: dict[str, object] = {}
    exec(compile((tmp_path / "casasiteconfig.py").read_text(), "site", "exec"), values)  # noqa: S102 - our own file
    assert env["CASASITECONFIG"] == str(tmp_path / "casasiteconfig.py")
    assert env["OMP_NUM_THREADS"] == "1", "bytes of tclean depend on it"
    assert values["datapath"] == [str(casa.casadata_path())]
    assert values["data_auto_update"] is False
    assert values["measures_auto_update"] is False
    assert values["logfile"] == str(tmp_path / "casa.log")


def test_missing_package_is_a_configuration_error(monkeypatch):
    monkeypatch.setattr(casa, "find_spec", lambda _: None)
    with pytest.raises(BadConfig, match="casadata"):
        casa.check_casadata()


def test_missing_table_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(casa, "casadata_path", lambda: tmp_path)
    with pytest.raises(BadConfig, match="geodetic/IERSpredict"):
        casa.check_casadata()


def test_age_of_the_tables_is_judged_against_the_data():
    casa.check_casadata(49820.0)
    with pytest.raises(BadConfig, match="ends at MJD"):
        casa.check_casadata(99999.0)


@pytest.mark.casa
def test_casatasks_runs_without_network_and_logs_where_it_is_told(tmp_path):
    code = (
        "import sys; from pathlib import Path; from contimg.radio.casa import casatasks;"
        "tasks = casatasks(Path(sys.argv[1])); tasks.casalog.post('hello from the test');"
        "from casatools import measures; print(measures().observatory('OVRO_MMA')['type'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "position" in done.stdout
    assert "hello from the test" in (tmp_path / "casa.log").read_text()
    assert [p.name for p in tmp_path.glob("casa-*.log")] == []
