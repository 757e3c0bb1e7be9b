"""A state directory as two years of observing leave it, made without observing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contimg.models.manifest import AttemptRecord, AttemptState, InputRef, Manifest, Product, Usage
from contimg.models.observation import CalibratorTransit, ObservationRecord, ObservationState, RawFile
from contimg.models.quality import judge
from contimg.models.spec import Scope, specs
from contimg.volume.layout import Layout

__all__ = ["MEMBERS", "STEP", "commit", "make", "observation", "sample", "write"]

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=320)
MEMBERS = 10
PRODUCTS = 4
ON_STAGING = 20_000
"""Runs of the last groups whose directories are still there."""
CONTENT = "five\n"
"""Of every product."""


def unit_of(number: int) -> str:
    """Return the id of the n-th observation."""
    return f"{EPOCH + number * STEP:%Y-%m-%dT%H:%M:%S}"


def task_of(stage: str, unit: str) -> str:
    """Return a task id."""
    return hashlib.sha256(f"{stage} {unit}".encode()).hexdigest()[:32]


def observation(number: int) -> ObservationRecord:
    """Return the record of the n-th observation, with sixteen files."""
    start = EPOCH + number * STEP
    transit = CalibratorTransit(
        name="3C48", ra_deg=24.4, dec_deg=33.2, flux_jy=16.0, apparent_flux_jy=15.0, transit=start + STEP / 2
    )
    files = tuple(
        RawFile(
            path=f"{start:%Y-%m-%d}/{start:%Y-%m-%dT%H:%M:%S}_sb{n:02d}.hdf5",
            role=f"sb{n:02d}",
            bytes=10**9,
            digest="d" * 64,
        )
        for n in range(16)
    )
    return ObservationRecord(
        id=unit_of(number),
        instrument="dsa110",
        state=ObservationState.SEALED,
        start=start,
        end=start + timedelta(seconds=309),
        integrations=24,
        integration_s=12.88,
        ra_deg=10.0,
        dec_deg=33.0,
        files=files,
        digest="d" * 64,
        bytes=16 * 10**9,
        expected=16,
        sealed_at=start + timedelta(minutes=20),
        calibrators=(transit,) if number % MEMBERS == 4 else (),
        next_transits=(transit, transit),
    )


def sample(stage: str, unit: str, group: str, start: datetime, inputs: tuple[str, ...] = ()) -> Manifest:
    """Return the manifest of a run as large as real ones."""
    spec = specs()[stage]
    products = tuple(
        Product(
            type=spec.home, id=f"{spec.home}_{unit}_{n}", path=f"{unit}_{n}.fits",
            names=(f"{start:%Y-%m-%d}/{unit}_{n}.fits",), bytes=len(CONTENT), sha256="e" * 64,
            role=f"r{n}" if n else "",
        )
        for n in range(PRODUCTS)
    )  # fmt: skip
    return Manifest(
        task=task_of(stage, unit), stage=stage, recipe_version=1, version="0.2", unit=unit, group=group,
        date=f"{start:%Y-%m-%d}", params=spec.params().model_dump(mode="json"),
        inputs=tuple(InputRef(task=item, home="raw_ms", sha256="f" * 64) for item in inputs),
        raw=("a" * 50,), raw_digest="d" * 64, products=products,
        figures=tuple(judge(f"{stage}.figure_{n}", 0.5, "Jy", degraded_above=1.0) for n in range(8)),
        info=_info(stage, start), software={f"package-{n}": "1.2.3" for n in range(25)}, attempt=1, host="here",
        started=start + timedelta(hours=1), finished=start + timedelta(hours=1, minutes=5),
        usage=Usage(wall_s=300.0, cpu_s=500.0, peak_bytes=10**9),
    )  # fmt: skip


def _info(stage: str, start: datetime) -> dict[str, object]:
    if stage != "solve":
        return {}
    return {"mode": "own", "calibrator": "3C48", "transit": start.isoformat(), "dec_deg": 33.16}


def _group(number: int) -> Iterator[Manifest]:
    """Give the manifests of the n-th group of ten."""
    group, first = f"group-{number:06d}", number * MEMBERS
    stages = [spec for spec in specs().values() if spec.scope in {Scope.OBSERVATION, Scope.GROUP}]
    for spec in stages:
        alone = spec.scope is Scope.OBSERVATION
        units = [unit_of(first + n) for n in range(MEMBERS)] if alone else [group]
        for n, unit in enumerate(units):
            inputs = () if alone else tuple(task_of("convert", unit_of(first + n)) for n in range(MEMBERS))
            yield sample(spec.name, unit, group, EPOCH + (first + n) * STEP, inputs)


def make(layout: Layout, runs: int, observations: int) -> None:
    """Write records of so many runs (each with its attempt) and observations."""
    for number in range(observations):
        record = observation(number)
        write(layout.observations / record.date / f"{record.id}.json", record.model_dump_json())
    written, number = 0, 0
    while written < runs:
        for manifest in list(_group(number))[: runs - written]:
            commit(layout, manifest, on_staging=written >= runs - ON_STAGING)
            written += 1
        number += 1


def commit(layout: Layout, manifest: Manifest, *, on_staging: bool) -> None:
    """Write what is left of a run: its manifest and attempt, and its directory if it is still there."""
    content = manifest.model_dump_json()
    write(layout.manifests / manifest.date / f"{manifest.task}.json", content)
    record = AttemptRecord(
        task=manifest.task, number=1, stage=manifest.stage, unit=manifest.unit, group=manifest.group,
        state=AttemptState.COMMITTED, host="here", pid=1, started=manifest.started, finished=manifest.finished,
        usage=manifest.usage,
    )  # fmt: skip
    write(layout.attempts / manifest.task / "1.json", record.model_dump_json())
    if on_staging:
        run = layout.run(specs()[manifest.stage].home, manifest.task)
        write(run / "manifest.json", content)
        for item in manifest.products:
            write(run / item.path, CONTENT)


def write(path: Path, content: str) -> None:
    """Write a file; nothing is flushed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
