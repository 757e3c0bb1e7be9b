"""Measurement sets with known gains, and the runs and records that stages solve and apply want to see."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np
from casacore.tables import table
from skies import manifest
from visibility_sim import Observation, Source, random_array, write_ms

from contimg.instruments.dsa110.simulate.run import simulate_dsa110
from contimg.models.manifest import Product
from contimg.models.observation import ObservationRecord, Role
from contimg.radio.casa import casadata_path
from contimg.radio.coordinates import utc
from contimg.radio.uvfits.scans import scans
from contimg.stage import Run, StageContext
from contimg_apply.params import ApplyParams
from contimg_apply.stage import Apply
from contimg_convert.params import ConvertParams
from contimg_convert.stage import Convert
from contimg_solve.params import SolveOptions, SolveParams
from contimg_solve.stage import Solve

__all__ = [
    "FREQS",
    "PRIMARY",
    "SECONDARY",
    "TARGET",
    "applied",
    "applycal",
    "draw_gains",
    "ngc5921",
    "raw_run",
    "record",
    "scan_runs",
    "simulated",
    "solved",
    "write_scan",
]

PRIMARY, SECONDARY, TARGET = (202.784533, 30.509155), (221.318607, 9.976687), (225.0, 12.0)
"""3C286, 1445+099 and a field 4 degrees from the latter [deg]."""
CHANNELS, ANTENNAS = 16, 8
FREQS = 1.4e9 + 1e6 * np.arange(CHANNELS)
START = 2460700.5
_task = (f"{number:032x}" for number in count(1))


def draw_gains(seed, channels=CHANNELS, antennas=ANTENNAS):
    """A smooth bandpass (chan, hand, antenna), amplitudes around 0.3, with delays."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-0.5, 0.5, channels)[:, None, None]
    amplitude = (
        0.3 * rng.uniform(0.8, 1.2, (2, antennas)) * (1 + 0.2 * np.cos(5 * x + rng.uniform(0, 6, (2, antennas))))
    )
    phase = rng.uniform(-3, 3, (2, antennas)) + 4 * x * rng.normal(size=(2, antennas))
    return amplitude * np.exp(1j * phase)


def write_scan(path, name, centre, sources, gains, *, start_jd=START, noise=0.0, seed=1, integrations=4, **more):
    """Write a scan whose visibilities are multiplied by ``gains`` (chan, hand, antenna); noise is in Jy."""
    obs = Observation(
        antennas_m=random_array(gains.shape[2], 600.0),
        ra_deg=centre[0],
        dec_deg=centre[1],
        freq_hz=FREQS,
        times_jd=start_jd + (np.arange(integrations) + 0.5) * 10 / 86400,
        sources=tuple(Source(*s) for s in sources),
        noise_jy=noise,
        seed=seed,
        **more,
    )
    write_ms(obs, path)
    with table(str(path), readonly=False, ack=False) as main:
        first, second = main.getcol("ANTENNA1"), main.getcol("ANTENNA2")
        factor = (gains[..., first] * gains[..., second].conj()).transpose(2, 0, 1)
        main.putcol("DATA", (main.getcol("DATA") * factor).astype(np.complex64))
        main.putcol("WEIGHT", np.ones((len(first), 2), np.float32))
    with table(f"{path}/FIELD", readonly=False, ack=False) as fields:
        fields.putcol("NAME", [name])
    return path


def raw_run(path, unit, info=None):
    """A committed run of stage convert, as far as anybody reads it."""
    product = Product(type="raw_ms", id=unit, path=path.name, names=(f"science/2026-01-25/{path.name}",))
    return Run(path.parent, manifest(next(_task), "convert", [product], info, unit=unit))


def record(unit, role):
    moment = datetime(2026, 1, 25, tzinfo=UTC)
    return ObservationRecord(
        id=unit,
        instrument="vla",
        state="sealed",
        start=moment,
        end=moment,
        integrations=1,
        integration_s=10,
        ra_deg=0,
        dec_deg=0,
        files=(),
        digest="",
        bytes=0,
        role=role,
        sealed_at=moment,
    )


def scan_runs(base, *, bandpass, drift, flux=2.5, noise=0.0):
    """Write scans primary, secondary, target, secondary; ``drift`` gives each a factor (hand, antenna)."""
    x = np.log10(FREQS / 1e9)
    scale = 10 ** (1.2481 - 0.4507 * x - 0.1798 * x**2 + 0.0357 * x**3)  # 3C286, Perley & Butler 2017, table 6
    middle = float(scale.mean())
    spectrum = np.sqrt(scale / middle)[:, None, None]  # the flux of a Source has no spectrum: put it into the gains
    plan = [
        ("p", "1331+30500002_0", PRIMARY, middle, 0.0, spectrum),
        ("s1", "1445+09900002_0", SECONDARY, flux, 120.0, 1.0),
        ("t", "target", TARGET, 1.0, 240.0, 1.0),
        ("s2", "1445+09900002_0", SECONDARY, flux, 360.0, 1.0),
    ]
    runs = {}
    for k, (unit, name, centre, jy, after_s, factor) in enumerate(plan):
        gains = bandpass * factor * drift[k]
        when = START + after_s / 86400
        write_scan(base / f"{unit}.ms", name, centre, [(*centre, jy)], gains, start_jd=when, noise=noise, seed=k + 1)
        runs[unit] = raw_run(base / f"{unit}.ms", unit, {"mid": f"2025-01-25T{k:02d}"})
    return runs


def solved(workdir, runs, roles=None, *, reference=None, options=None, origin=(), **params):
    """Run stage solve; return its result and its run."""
    workdir.mkdir()
    result = Solve().run(
        StageContext(
            unit="g1",
            group="g1",
            date="2026-01-25",
            params=SolveParams(**params),
            workdir=workdir,
            inputs={"raw_ms": list(runs), "calibration_table": list(origin)},
            calibrators=tuple(record(unit, role) for unit, role in (roles or {}).items()),
            reference=reference or {},
            options=SolveOptions.model_validate(options or {}),
        )
    )
    products = [Product(type=d.type, id=d.id, path=d.path, role=d.role, names=d.names) for d in result.products]
    return result, Run(workdir, manifest(next(_task), "solve", products, result.info, unit="g1"))


def applied(workdir, raw, calibration, **params):
    """Run stage apply; return its result and the path of the calibrated measurement set."""
    workdir.mkdir()
    result = Apply().run(
        StageContext(
            unit=raw.manifest.unit,
            group="g1",
            date="2026-01-25",
            params=ApplyParams(**params),
            workdir=workdir,
            inputs={"raw_ms": [raw], "calibration_table": [calibration]},
        )
    )
    return result, workdir / result.products[0].path


_APPLYCAL = """
import json, sys
from pathlib import Path
from contimg.radio.casa import casatasks
given = json.loads(sys.argv[1])
casatasks(Path.cwd()).applycal(applymode="calflag", calwt=False, flagbackup=False, **given)
"""


def applycal(ms: Path, arguments: str) -> tuple[np.ndarray, np.ndarray]:
    """Run CASA's applycal on a measurement set in a process of its own; return corrected data and flags."""
    env = os.environ | {"HOME": str(ms.parent)}
    command = [sys.executable, "-c", _APPLYCAL, arguments]
    done = subprocess.run(command, cwd=ms.parent, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with table(str(ms), ack=False) as opened:
        return opened.getcol("CORRECTED_DATA"), opened.getcol("FLAG")


def converted(base, raw, observation, date, **params):
    """Run stage convert on one observation; return its run."""
    workdir = base / observation.id
    workdir.mkdir(parents=True)
    result = Convert().run(
        StageContext(
            unit=observation.id,
            group="g1",
            date=date,
            params=ConvertParams(**params),
            workdir=workdir,
            raw=tuple(raw),
            observation=observation,
        )
    )
    products = [Product(type=d.type, id=d.id, path=d.path, role=d.role, names=d.names) for d in result.products]
    return Run(workdir, manifest(next(_task), "convert", products, result.info, unit=observation.id))


def ngc5921(base):
    """The seven scans of CASA's demonstration data: runs of stage convert and roles, by observation."""
    path = casadata_path() / "demo" / "NGC5921.fits"
    runs, roles = {}, {}
    for scan in scans(path):
        start = utc(scan.start_jd)
        known = record(start.strftime("%Y-%m-%dT%H:%M:%S"), scan.role)
        known = known.model_copy(
            update={"start": start, "end": utc(scan.end_jd), "source": scan.source, "scan": scan.number}
        )
        params = {"rfi": "none", "mad_clip": 0, "edge_fraction": 0}
        runs[known.id] = converted(base, [path], known, "1995-04-13", **params)
        if scan.role is not Role.TARGET:
            roles[known.id] = scan.role
    return runs, roles


def simulated(base, config):
    """Simulate and convert a DSA-110 run; return truth, its directory and the runs of stage convert in time order."""
    truth = simulate_dsa110(base / "raw", config)
    runs = []
    for observation in truth.observations:
        files = [base / "raw" / f.name for f in sorted(observation.files, key=lambda f: f.subband)]
        known = record(observation.id, "target").model_copy(
            update={"instrument": "dsa110", "start": observation.start, "end": observation.end, "expected": 16}
        )
        runs.append(converted(base / "ms", files, known, "2026-01-25"))
    return truth, base / "raw", runs
