"""The reference chains, each in a process of its own: ``reference.py pyuvdata|casa <directory> <json of arguments>``.

Every step prints one line ``CPU <name> <seconds>``: user and system time of all threads of this process; imports do not
count.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3  # noqa: F401 - before CASA, which brings an older library of its own
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["casa", "pyuvdata"]


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Print the CPU seconds that a block takes."""
    begin = time.process_time()
    yield
    print(f"CPU {name} {time.process_time() - begin:.3f}", flush=True)


def pyuvdata(directory: Path, raw: list[str], ra_rad: float, dec_rad: float) -> None:
    """Read the subbands of one observation, phase them to the same centre and write a measurement set."""
    from pyuvdata_reader import read_uvh5  # noqa: PLC0415 - pyuvdata alone cannot read the correlator's header

    loose = {"run_check": False, "check_extra": False, "run_check_acceptability": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with step("read"):
            uv = read_uvh5(Path(raw[0]))
            for path in raw[1:]:
                uv.fast_concat(read_uvh5(Path(path)), "freq", inplace=True, **loose)
        with step("phase"):
            uv.phase(lon=ra_rad, lat=dec_rad, phase_frame="icrs", cat_name="meridian")
        with step("write_ms"):
            uv.write_ms(str(directory / "pyuvdata.ms"), clobber=True, **loose)


def casa(directory: Path, ms: str, flux_jy: float, image: dict[str, Any]) -> None:
    """Flag, solve, apply and image a copy of a raw measurement set with CASA alone."""
    from contimg.radio.casa import casatasks  # noqa: PLC0415 - not where pyuvdata is measured

    tasks = casatasks(directory)
    bandpass, gains = str(directory / "bandpass"), str(directory / "gains")
    with step("flagdata"):
        tasks.flagdata(ms, mode="manual", autocorr=True, flagbackup=False)
        tasks.flagdata(ms, mode="tfcrop", datacolumn="data", flagbackup=False)
    with step("setjy"):
        tasks.setjy(ms, standard="manual", fluxdensity=[flux_jy, 0, 0, 0], usescratch=True)
    with step("bandpass"):
        tasks.bandpass(ms, caltable=bandpass, solint="inf", combine="scan", bandtype="B", minsnr=0)
    with step("gaincal"):
        tasks.gaincal(ms, caltable=gains, solint="inf", calmode="ap", gaintable=[bandpass], minsnr=0)
    with step("applycal"):
        tasks.applycal(ms, gaintable=[bandpass, gains], flagbackup=False, calwt=False)
    with step("tclean"):
        tasks.tclean(ms, imagename=str(directory / "tclean"), datacolumn="corrected", pblimit=-0.1, **image)


if __name__ == "__main__":
    {"casa": casa, "pyuvdata": pyuvdata}[sys.argv[1]](Path(sys.argv[2]), **json.loads(sys.argv[3]))
