"""A small observatory on disk: committed runs, attempts, observations, written as workers and ingest write them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from contimg.archive import Archive
from contimg.models.fact import GroupRecord, Needs, OfferWindow
from contimg.models.manifest import AttemptRecord, AttemptState, InputRef, Manifest, Product
from contimg.models.observation import ObservationRecord, ObservationState, RawFile
from contimg.models.plan import Plan, plan_item
from contimg.models.quality import Verdict, judge
from contimg.models.spec import data_types, spec_of
from contimg.stage import Run
from contimg.volume.disk import checksum
from contimg.volume.layout import Layout
from contimg.volume.names import name_products

__all__ = ["T0", "Site", "everything", "task_of"]

T0 = datetime(2026, 1, 25, 22, 0, tzinfo=UTC)
NAMES = {"mosaic": "2026-01-25/mosaic_{}.fits", "convert": "science/2026-01-25/{}.ms"}


def task_of(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()[:32]


def everything(keeper, group="g", *, stages=("solve",)):
    """Return the facts of all that is on record: what no engine asks for."""
    tasks = {row["task"] for row in keeper.index.rows("products", "SELECT task FROM runs")}
    tasks |= {path.name for path in keeper.layout.attempts.glob("*")}
    always = {"start": datetime(1970, 1, 1, tzinfo=UTC), "end": datetime(2100, 1, 1, tzinfo=UTC)}
    offers = tuple(OfferWindow(stage=stage, **always) for stage in stages)
    return keeper.facts(Needs(group=group, tasks=tuple(sorted(tasks)), offers=offers, **always))


class Site:
    """Writes what other parts of Contimg would write."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.finished = T0 + timedelta(minutes=5)

    def commit(self, stage, unit, *, version="a", inputs=(), info=None, attempt=1, raw=(), name=None, content=None):
        """Make a run as the worker commits it; return its task and home."""
        home = spec_of(stage).home
        task = task_of(f"{stage} {unit} {version}")
        run = self.layout.run(home, task)
        run.mkdir(parents=True)
        path = name or f"{unit}.fits"
        text = content or f"{stage} {unit} {version}\n"
        if path.endswith(".image"):  # a CASA image is a directory
            (run / path).mkdir()
            (run / path / "table.dat").write_text(text)
        else:
            (run / path).write_text(text)
        size, sha256 = checksum(run / path)
        names = (NAMES[stage].format(unit),) if stage in NAMES else (f"2026-01-25/{path}",)
        role = {"solve": "bpcal", "publish": "plan"}.get(stage, "")
        product = Product(type=home, id=f"{home}_{unit}", path=path, names=names, bytes=size, sha256=sha256, role=role)
        figure = judge(f"{stage}.rms", 0.5, "Jy", degraded_above=1.0)
        manifest = Manifest(
            task=task, stage=stage, recipe_version=1, version="0.1", unit=unit, group="g", date="2026-01-25",
            params={"size": 64}, inputs=tuple(InputRef(task=t, home=h, sha256="0" * 64) for t, h in inputs),
            raw=tuple(raw), products=(product,), figures=(figure,), info=info or {}, attempt=attempt, host="here",
            started=T0, finished=self.finished,
        )  # fmt: skip
        (run / "manifest.json").write_text(manifest.model_dump_json(indent=1))
        return task, home

    def run(self, task, home):
        path = self.layout.run(home, task)
        return Run(path, Manifest.model_validate_json((path / "manifest.json").read_text()))

    def name(self, task, home):
        name_products(self.layout, self.run(task, home))

    def publish(self, inputs, *, version="a", unit="g", date="2026-01-25", optional=False):
        """Commit a publish run with a plan for the products of its inputs that go into the archive."""
        products = [(task, home, p) for task, home in inputs for p in self.run(task, home).manifest.products]
        items = [
            plan_item(p, task, unit, date, directory=p.path.endswith(".image"))
            for task, home, p in products
            if data_types()[home].archive and (optional or not data_types()[home].include)
        ]
        plan = Plan(
            group=unit, date=date, policy="always", publish=True, verdict=Verdict.PASS, items=tuple(items)
        )  # fmt: skip
        name, content = f"plan_{unit}.json", plan.model_dump_json()
        return self.commit("publish", unit, version=version, inputs=inputs, name=name, content=content)

    def archive(self, task):
        """Carry out the plan of a publish run."""
        run = self.run(task, "metadata")
        path = next(item.path for item in run.manifest.products if item.role == "plan")
        Archive(self.layout).publish(Plan.model_validate_json((run.path / path).read_text()), run)

    def attempt(self, task, number, state, *, error="", counted=True, round_=0):
        record = AttemptRecord(
            task=task, number=number, round=round_, stage="image", unit="u", group="g", state=AttemptState(state),
            started=T0 + timedelta(seconds=number), error=error, message=f"try {number}", counted=counted,
        )  # fmt: skip
        path = self.layout.attempts / task / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.model_dump_json())
        return record

    def observation(self, minutes, state="sealed"):
        start = T0 + timedelta(minutes=minutes)
        record = ObservationRecord(
            id=f"{start:%Y-%m-%dT%H:%M:%S}", instrument="dsa110", state=ObservationState(state), start=start,
            end=start + timedelta(minutes=5), integrations=24, integration_s=12.88, ra_deg=10.0, dec_deg=16.1,
            files=(RawFile(path=f"2026-01-25/{start:%H%M}_sb00.hdf5", role="sb00", bytes=10, digest="d"),),
            digest="d", bytes=10, sealed_at=start + timedelta(minutes=20),
        )  # fmt: skip
        path = self.layout.record(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.model_dump_json(indent=1) + "\n")
        return record

    def group(self, task, digest="d1", *, published=True):
        return GroupRecord(
            group="g", spec_digest=digest, task=task, published=published, verdict=Verdict.PASS, at=T0, members=("u",)
        )
