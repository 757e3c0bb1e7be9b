"""What one host costs with many groups at once: real bus, real keeper, real files; only the stages do no work.

Run: ``./run bench host`` or ``python tests/bench/bench_host.py [--groups N] [--members N] [--dir DIR]``. The message
server, the keeper, the host and the workers are processes of their own. Nine stages (the watcher among them) of ten
members make 35 tasks a group. Prints CPU and wall seconds per task, how often tasks were asked for, and the host's
largest memory; ends with 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import paper_stages
from keeper_state import observation, write

from contimg.bus import Asked, Bus
from contimg.host.files import FileResources
from contimg.host.host import Host
from contimg.keeper.keeper import Keeper
from contimg.keeper.service import KeeperClient, serve_keeper
from contimg.limits import ProtocolLimits
from contimg.models.fact import IngestFact
from contimg.models.spec import specs
from contimg.models.task import Task
from contimg.servers.nats import NatsServer
from contimg.telemetry import configure_logging
from contimg.volume.layout import Layout

BOUNDS = {"CPU s per task": 0.15, "wall s per task": 0.3, "asks per task": 1.0, "host MiB": 300.0}
ROLES = ("keeper", "host", "work")
LEFT = 1000
"""Observations between the first members of two groups: no group can use another's products."""


def layout_in(directory: Path) -> Layout:
    """Return the directories of the bench."""
    return Layout(directory / "stage", directory / "data")


def prepare(directory: Path, groups: int, members: int) -> None:
    """Write the records of the observations and the YAML files of the groups."""
    layout = layout_in(directory)
    for group in range(groups):
        ids = []
        for member in range(members):
            record = observation(group * LEFT + member)
            if member == 0:
                record = record.model_copy(update={"calibrators": observation(4).calibrators})
            transits = tuple(item.model_copy(update={"transit": record.start}) for item in record.calibrators)
            record = record.model_copy(update={"calibrators": transits})
            write(layout.observations / record.date / f"{record.id}.json", record.model_dump_json())
            ids.append(record.id)
        wish = {
            "pipeline": "dsa110-continuum",
            "observations": {"members": ids},
            "stages": {"crossmatch": {"enabled": True}},
        }
        text = json.dumps({"kind": "ObservationGroup", "metadata": {"name": f"g{group:03d}"}, "spec": wish})
        write(directory / "groups" / f"g{group:03d}.yaml", text)
    layout.stage_base.mkdir(parents=True)
    write(layout.ingest_fact, IngestFact(scanned=datetime.now(UTC)).model_dump_json())


async def connect(limits: ProtocolLimits | None = None) -> Bus:
    """Connect to the server that the environment names."""
    return await Bus.connect(*(os.environ[f"BENCH_{name}"] for name in ("URL", "USER", "PASSWORD")), limits=limits)


# -- the three processes --------------------------------------------------------------------------------------------


async def keeper(directory: Path) -> None:
    """Serve facts until ended."""
    with Keeper(layout_in(directory)) as known:
        async with await connect() as bus:
            await serve_keeper(bus, known, bus.shard)
            print("serves", flush=True)
            await asyncio.Event().wait()


async def host(directory: Path) -> None:
    """Bring all groups to publication; print what was asked for."""
    answers: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    resources = FileResources(layout_in(directory), [directory / "groups"])
    async with await connect() as bus:
        ask = bus.ask

        async def counted(task: Task) -> Asked:
            answer = await ask(task)
            answers[answer] += 1
            asked[task.task] += 1
            return answer

        bus.ask = counted  # type: ignore[method-assign]
        loop = Host(bus, KeeperClient(bus, bus.shard), resources, specs(), bus.limits)
        names = resources.groups()
        await loop.run(lambda: loop.is_over(names, arriving=False))
    phases = Counter(str(resources.store.status(name).phase) for name in names)  # type: ignore[union-attr]
    print(json.dumps({"phases": phases, "answers": answers, "tasks": len(asked), "asks": asked.total()}))


async def work(directory: Path) -> None:
    """Commit whatever is asked for, without doing it."""
    async with await connect(ProtocolLimits(fetch_s=0.05)) as bus:
        await paper_stages.work(bus, layout_in(directory))


# -- the measurement ------------------------------------------------------------------------------------------------


def _start(role: str, directory: Path, server: NatsServer) -> subprocess.Popen[str]:
    environment = os.environ | {
        "BENCH_URL": server.url, "BENCH_USER": server.user, "BENCH_PASSWORD": server.password,
    }  # fmt: skip
    argv = [sys.executable, __file__, "--role", role, "--dir", str(directory)]
    return subprocess.Popen(
        argv, env=environment, stdout=subprocess.PIPE, stderr=(directory / f"{role}.log").open("w"), text=True
    )


def measure(directory: Path, groups: int, members: int) -> dict[str, float]:
    """Run everything once; return the figures."""
    prepare(directory, groups, members)
    with NatsServer(directory / "nats") as server:
        processes = {"keeper": _start("keeper", directory, server)}
        processes["keeper"].stdout.readline()  # type: ignore[union-attr]
        begin = time.monotonic()
        processes |= {role: _start(role, directory, server) for role in ROLES[1:]}
        seen = {role: psutil.Process(process.pid) for role, process in processes.items()}
        seen["nats-server"] = psutil.Process(server.pid)
        cpu, peak = dict.fromkeys(seen, 0.0), 0.0
        while processes["host"].poll() is None:
            for role, process in seen.items():
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    cpu[role] = times.user + times.system
            with contextlib.suppress(psutil.Error):
                peak = max(peak, seen["host"].memory_info().rss / 2**20)
            time.sleep(0.05)
        wall = time.monotonic() - begin
        said = json.loads(processes["host"].communicate()[0])
        for role in ("keeper", "work"):
            processes[role].terminate()
            processes[role].wait()
    tasks = said["tasks"]
    print(f"{groups} groups of {members}: {tasks} tasks in {wall:.1f} s; {said['phases']}; asked: {said['answers']}")
    print("CPU s: " + ", ".join(f"{role} {seconds:.1f}" for role, seconds in cpu.items()))
    if set(said["phases"]) != {"Published"}:
        sys.exit(f"not every group was published; see {directory}")
    ours = cpu["host"] + cpu["keeper"] + cpu["nats-server"]
    return {
        "CPU s per task": ours / tasks, "wall s per task": wall / tasks, "asks per task": said["asks"] / tasks,
        "host MiB": peak,
    }  # fmt: skip


def main() -> int:
    """Print the figures; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--groups", type=int, default=200)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.role:
        configure_logging()
        asyncio.run({"keeper": keeper, "host": host, "work": work}[chosen.role](chosen.dir))
        return 0
    with tempfile.TemporaryDirectory(prefix="contimg-bench-", dir=chosen.dir) as name:
        figures = measure(Path(name), chosen.groups, chosen.members)
    for name, value in figures.items():
        print(f"{name:16s} {value:10.4f}   bound {BOUNDS[name]}{'' if value <= BOUNDS[name] else '   MISSED'}")
    return int(any(value > BOUNDS[name] for name, value in figures.items()))


if __name__ == "__main__":
    sys.exit(main())
