"""Loading CASA: its configuration, its data tables, its log. Nothing here imports CASA before it is asked to.

``casatools`` reads its configuration once, at import, and would try a download without one. A process that
loads it takes one task at a time (two CASA threads on a table crash) and keeps its own SQLite library, so only
children of stages load it.
"""

from __future__ import annotations

import os
import sqlite3  # noqa: F401 - must be loaded before casatools, which brings an older libsqlite3 of its own
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from contimg.errors import BadConfig

__all__ = ["casa_environment", "casadata_path", "casatasks", "check_casadata"]

_NEEDED = ("geodetic/IERSpredict", "geodetic/TAI_UTC", "geodetic/Observatories", "ephemerides/DE200")
_CONFIG = """\
datapath = [{data!r}]
measurespath = {data!r}
data_auto_update = False
measures_auto_update = False
logfile = {log!r}
cachedir = {cache!r}
nologger = True
nogui = True
agg = True
telemetry_enabled = False
crashreporter_enabled = False
"""


def casadata_path() -> Path:
    """Return the data directory of package ``casadata``.

    Raises
    ------
    BadConfig
        If the package is not installed.
    """
    spec = find_spec("casadata")
    if spec is None or not spec.submodule_search_locations:
        raise BadConfig("package 'casadata' is not installed, so CASA has no measures tables; install the extra 'casa'")
    return Path(next(iter(spec.submodule_search_locations))) / "__data__"


def check_casadata(mjd: float | None = None, grace_days: float = 366.0) -> None:
    """Check that CASA's measures tables are complete and reach the data.

    Parameters
    ----------
    mjd
        Date of the data, MJD [d]; None checks presence only.
    grace_days
        How long after their end the predictions are still good enough. CASA takes UT1-UTC = 0 s there, which is
        wrong by less than 1 s; stages use CASA for gains and gridding, whose uvw come from the measurement set.

    Raises
    ------
    BadConfig
        If a table is missing, or ends more than ``grace_days`` before ``mjd``.
    """
    data = casadata_path()
    for name in _NEEDED:
        if not (data / name / "table.dat").is_file():
            raise BadConfig(f"casadata lacks the table {data / name}; install package 'casadata' anew")
    if mjd is None:
        return
    end = _last_mjd(data / "geodetic/IERSpredict")
    if mjd > end + grace_days:
        raise BadConfig(
            f"table {data / 'geodetic/IERSpredict'} ends at MJD {end:.0f}, more than {grace_days:g} d before the "
            f"data (MJD {mjd:.0f}); update package 'casadata'"
        )


def _last_mjd(path: Path) -> float:
    from casacore.tables import table  # noqa: PLC0415 - casacore only where a date is asked for

    with table(str(path), ack=False) as opened:
        return float(opened.getcell("MJD", opened.nrows() - 1))


def casa_environment(directory: Path) -> dict[str, str]:
    """Write a CASA site configuration and return the environment that makes CASA use it.

    Parameters
    ----------
    directory
        Existing directory that gets ``casasiteconfig.py``, CASA's cache and ``casa.log``.

    Returns
    -------
    dict
        Variables to set before ``casatools`` is imported.

    Raises
    ------
    BadConfig
        If package ``casadata`` is absent or incomplete.
    """
    check_casadata()
    here = directory.resolve()
    site, cache = here / "casasiteconfig.py", here / "casa-cache"
    cache.mkdir(exist_ok=True)
    site.write_text(_CONFIG.format(data=str(casadata_path()), log=str(here / "casa.log"), cache=str(cache)))
    # With several OpenMP threads the last bits of an image of tclean depend on their number (docs/same-bytes.md).
    threads = {"OMP_NUM_THREADS": "1"}
    return {"CASASITECONFIG": str(site), "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(cache)} | threads


def casatasks(directory: Path) -> Any:
    """Import ``casatasks`` in this process, with its log in ``directory``.

    Call it in a child process only. The configuration is read by the first import; later calls move the log.
    """
    os.environ.update(casa_environment(directory))
    module = import_module("casatasks")
    module.casalog.setlogfile(str(directory.resolve() / "casa.log"))
    return module
