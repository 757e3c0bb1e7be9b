"""What the operator costs: real API server, bus and keeper; only the stages do no work.

Run: ``./run bench operator`` or ``python tests/bench/bench_operator.py [--groups N] [--members N] [--dir DIR]``. Nine
stages (the watcher among them) of ten members make 35 tasks a group. What was asked of the API server is counted by
its own audit log. Of a reconcile, one look at a group, the time counts for which it holds the event loop: not what it
waits for. Prints the figures and ends with 1 if a bound is missed; a time, which is the machine's too, is only printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine, Generator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import psutil
from apiserver import with_definitions
from operator_site import PAPER, OperatorSite, group, observed

from contimg.bus import Bus
from contimg.engine.inquiry import needs
from contimg.host.host import Host
from contimg.keeper.service import KeeperClient
from contimg.limits import KIB, MIB
from contimg.models.fact import Facts, Needs
from contimg.models.group import ObservationGroup
from contimg.models.instrument import pipelines
from contimg.models.spec import specs
from contimg.process import Process, start
from contimg_operator.operator import serve as serve_operator

BOUNDS = {
    "status writes of a group, mean": 12.0, "API calls per group": 40.0, "facts KiB, largest": 128.0,
    "object KiB, largest": 64.0, "reconcile ms, p99": 50.0, "operator MiB, peak": 300.0,
}  # fmt: skip
TIME = "reconcile ms, p99"
LEFT = 1000
"""Observations between the first members of two groups: no group can use another's products."""
Times = list[float]


# -- the operator, with a stopwatch ---------------------------------------------------------------------------------


class _Held:
    """Awaits a coroutine, and notes for how long it held the event loop: what it waits for does not count."""

    def __init__(self, work: Coroutine[Any, Any, None], times: Times) -> None:
        self._work, self._times = work, times

    def __await__(self) -> Generator[Any, Any, None]:
        held, step = 0.0, partial(self._work.send, None)
        try:
            while True:
                begin = time.perf_counter()
                try:
                    waits = step()
                finally:
                    held += time.perf_counter() - begin
                try:
                    step = partial(self._work.send, (yield waits))
                except BaseException as error:  # noqa: BLE001 - a time-out, say: it is the business of whom we measure
                    step = partial(self._work.throw, error)
        except StopIteration:
            self._times.append(held)


def _note(times: Times) -> None:
    Path("looks.json").write_text(json.dumps(times))


async def serve(process: Process) -> None:
    """Run the operator as it is; write at the end how long its looks took."""
    look, times = Host._look, Times()

    async def timed(host: Host, name: str) -> None:
        await _Held(look(host, name), times)

    Host._look = timed  # type: ignore[method-assign]
    try:
        await serve_operator(process)
    finally:
        _note(times)


# -- the measurement ------------------------------------------------------------------------------------------------


class Bench(OperatorSite):
    """A site whose operator has a stopwatch."""

    modules: ClassVar = OperatorSite.modules | {"operator": [__file__, "--role", "operator"]}


async def facts_of(site: OperatorSite, body: dict[str, Any]) -> int:
    """Return the bytes of the facts that a look at a group takes."""
    wish = ObservationGroup.model_validate(body)
    facts, asked = Facts(), list[Needs]()
    async with await Bus.connect(site.bus.url, PAPER, PAPER) as bus:
        keeper = KeeperClient(bus, bus.shard)
        now = wish.status.finished if wish.status is not None else None
        assert now is not None
        chosen = pipelines()[wish.spec.pipeline]
        while question := needs(wish, chosen, specs(), facts, asked, now, wish.status, bus.limits):
            facts = facts.merged(await keeper.facts(question))
            asked.append(question)
    return len(facts.model_dump_json())


def bodies(site: OperatorSite) -> list[dict[str, Any]]:
    """Return all groups as the API server has them."""
    text = site.kubectl("get", "og", "-o", "json", "--show-managed-fields").stdout
    found: list[dict[str, Any]] = json.loads(text)["items"]
    return found


def run(site: OperatorSite, groups: int, members: int) -> tuple[float, float]:
    """Apply all groups and wait for their end; return seconds and the operator's largest memory."""
    wishes = [group(f"g{n:04d}", observed(site.layout, *range(n * LEFT, n * LEFT + members))) for n in range(groups)]
    process, peak, begin = psutil.Process(site.running["operator"].pid), 0.0, time.monotonic()
    for first in range(0, groups, 100):
        site.apply(*wishes[first : first + 100])
    while len(list(site.layout.groups.glob("*.json"))) < groups:
        peak = max(peak, process.memory_info().rss / MIB)
        assert process.is_running(), site.log()[-3000:]
        time.sleep(0.5)
    seconds = time.monotonic() - begin
    site.until(lambda: site.metric('contimg_groups{condition="Succeeded",reason="Published"') == groups, 120)
    return seconds, max(peak, process.memory_info().rss / MIB)


def measure(directory: Path, groups: int, members: int) -> dict[str, float]:
    """Run everything once; return the figures."""
    (directory / "site").mkdir()
    with with_definitions(directory / "api") as server, Bench(server, directory / "site", "bench") as site:
        site.until(lambda: site.ready() == "ok")
        seconds, peak = run(site, groups, members)
        found = bodies(site)
        facts = max(asyncio.run(facts_of(site, body)) for body in found[:: max(1, groups // 10)])
        site.stop("operator", signal.SIGTERM)
        calls = [item for item in server.audit("system:serviceaccount:bench:operator") if "objectRef" in item]
        looks = sorted(json.loads((site.directory / "looks.json").read_text()))
    writes = Counter(item["objectRef"]["name"] for item in calls if item["verb"] == "update")
    phases = Counter(item["status"]["phase"] for item in found)
    said = Counter((item["verb"], item["objectRef"]["resource"], item["responseStatus"]["code"]) for item in calls)
    print(f"{groups} groups of {members} in {seconds:.0f} s: {dict(phases)}; {len(looks)} looks")
    print("asked of the API server: " + ", ".join(f"{' '.join(map(str, key))} {count}" for key, count in said.items()))
    print(f"status writes of a group: at most {max(writes.values())}")
    parts = (f"{1000 * looks[int(share * len(looks))]:.1f}" for share in (0.5, 0.9, 0.99, 0.9999))
    print(f"reconcile ms, 50 %, 90 %, 99 %, all: {', '.join(parts)}")
    assert phases == {"Published": groups}
    return {
        "status writes of a group, mean": sum(writes.values()) / groups,
        "API calls per group": len(calls) / groups,
        "facts KiB, largest": facts / KIB,
        "object KiB, largest": max(len(json.dumps(body)) for body in found) / KIB,
        TIME: 1000 * looks[int(0.99 * len(looks))],
        "operator MiB, peak": peak,
    }


def main() -> int:
    """Print the figures; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--groups", type=int, default=200)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--role", choices=["operator"], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.role:
        start("operator", "bench_operator:serve")
        return 0
    with tempfile.TemporaryDirectory(prefix="contimg-bench-", dir=chosen.dir) as name:
        figures = measure(Path(name), chosen.groups, chosen.members)
    for name, value in figures.items():
        print(f"{name:32s} {value:8.1f}   bound {BOUNDS[name]:5.0f}{'' if value <= BOUNDS[name] else '   MISSED'}")
    return int(any(value > BOUNDS[name] for name, value in figures.items() if name != TIME))


if __name__ == "__main__":
    sys.exit(main())
