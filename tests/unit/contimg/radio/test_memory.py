from __future__ import annotations

import os
import subprocess
import sys

import pytest

from contimg.radio.memory import zeroed

WRITE = """
import sys
import numpy as np
from casacore.tables import makearrcoldesc, maketabdesc, table
from contimg.radio.memory import zeroed

def write(path):
    columns = [makearrcoldesc("A", 0j, ndim=2, valuetype="complex"), makearrcoldesc("F", False, ndim=2)]
    with table(path, maketabdesc(columns), nrow=20, ack=False) as made:
        made.putcol("A", np.ones((20, 3, 2), complex))
        made.putcol("F", np.zeros((20, 3, 2), bool))

(zeroed()(write) if sys.argv[2] == "zeroed" else write)(sys.argv[1])
"""


def files(path, how, fill):
    """Write in a process whose new memory is filled with a byte."""
    environment = os.environ | {"MALLOC_PERTURB_": fill}
    subprocess.run([sys.executable, "-c", WRITE, str(path), how], env=environment, check=True)
    return {each.name: each.read_bytes() for each in sorted(path.iterdir())}


@pytest.mark.parametrize(("how", "same"), [("zeroed", True), ("as it is", False)])
def test_files_of_a_table_do_not_hold_what_memory_held_before(tmp_path, how, same):
    assert (files(tmp_path / "a", how, "85") == files(tmp_path / "b", how, "170")) is same


def test_it_decorates_and_lets_errors_through():
    @zeroed()
    def broken() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        broken()
