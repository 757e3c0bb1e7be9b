from __future__ import annotations

import subprocess
import sys

import pytest

from contimg.errors import BadConfig, BadInput
from contimg.instruments import stations, telescope, telescope_named
from contimg.models.instrument import instruments


def test_a_telescope_is_found_by_its_instrument():
    assert telescope("dsa110").key == "dsa110"
    assert telescope("vla").casa_name == "VLA"


@pytest.mark.parametrize("name", ["OVRO_MMA", "ovro_mma "])
def test_and_by_the_name_in_the_data(name):
    assert telescope_named(name).key == "dsa110"


def test_unknown_names_are_refused_with_what_is_known():
    with pytest.raises(BadConfig, match="instrument 'dsa11' is not installed; did you mean 'dsa110'"):
        telescope("dsa11")
    with pytest.raises(BadInput, match="telescope name 'GMRT' of the data is unknown; known are OVRO_MMA") as caught:
        telescope_named("GMRT")
    assert caught.value.reason == "unknown-telescope"
    with pytest.raises(BadConfig, match="'vla' has no packaged station list; only 'dsa110' has one"):
        stations("vla")


def test_an_instrument_may_be_no_interferometer(monkeypatch):
    telescope("vla")  # what is known is kept
    monkeypatch.setitem(instruments(), "dish", type("Dish", (), {"name": "dish"})())
    with pytest.raises(BadConfig, match="instrument 'dish' is no interferometer"):
        telescope("dish")


def test_finding_instruments_and_pipelines_imports_no_science():
    """Every start of the command line does it."""
    code = (
        "import sys; from contimg.models.instrument import instruments, pipelines; import contimg.instruments; "
        "instruments(); pipelines(); "
        "print([name for name in ('numpy', 'astropy', 'h5py', 'erfa', 'contimg.radio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
