"""The keeper on the bus as ``contimg.rpc.<shard>.{register, facts, observations, tables, inputs, wanted}``; its client.

The bus cuts answers into pages and carries our errors by class. Handlers run in threads: a scan or a slow disk never
holds up the heartbeats of a process that also works on tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog
from nats.aio.subscription import Subscription

from contimg.bus import Bus
from contimg.errors import BadInput, ContimgError, ResourceExhausted, Unavailable
from contimg.keeper.inputs import load_inputs, store_inputs
from contimg.keeper.keeper import Keeper
from contimg.models.fact import Facts, GroupRecord, IngestFact, TableFact

__all__ = ["KeeperClient", "serve_keeper", "tend"]

WANTED_PAGE = 10_000
"""Task ids in one message: 35 bytes each, a third of what nats-server takes."""

_log = structlog.get_logger(__name__)
Answer = dict[str, Any]


REGISTER: dict[str, Callable[[Keeper, Answer], object]] = {
    "run": lambda keeper, request: keeper.register_run(request["task"], request["home"]),
    "attempt": lambda keeper, request: keeper.register_attempt(request["task"], int(request["number"])),
    "group": lambda keeper, request: keeper.register_group(GroupRecord.model_validate(request["record"])),
}


def _register(keeper: Keeper, request: Answer) -> Answer:
    kind = request["kind"]
    if kind not in REGISTER:
        raise BadInput(f"register cannot take kind {kind!r}; it takes {', '.join(REGISTER)}")
    try:
        REGISTER[kind](keeper, request)
    except ResourceExhausted as error:
        raise Unavailable(str(error)) from error  # a full state disk is an outage of the keeper: the worker waits
    return {"registered": kind}


def _time(request: Answer, name: str) -> datetime | None:
    return datetime.fromisoformat(request[name]) if request.get(name) else None


def _facts(keeper: Keeper, request: Answer) -> Answer:
    window = {"start": _time(request, "start"), "end": _time(request, "end")}
    return keeper.facts(request.get("tasks"), request.get("groups"), **window).model_dump(mode="json")


def _observations(keeper: Keeper, request: Answer) -> Answer:
    """Take ingest's word that there is something new; answer with what is known."""
    if "ingest" in request:
        keeper.refresh_ingest(IngestFact.model_validate(request["ingest"]))
    return {"observations": keeper.queries.observations(request.get("state"), request.get("start"), request.get("end"))}


def _tables(keeper: Keeper, _request: Answer) -> Answer:
    return {"tables": [table.model_dump(mode="json") for table in keeper.facts([], []).tables]}


def _inputs(keeper: Keeper, request: Answer) -> Answer:
    """Keep the inputs of a task with too many of them for a message, or give them back (P2)."""
    if "inputs" in request:
        return {"digest": store_inputs(keeper.layout, request["inputs"])}
    return {"inputs": load_inputs(keeper.layout, request["digest"])}


def _wanted(keeper: Keeper, request: Answer) -> Answer:
    keeper.wanted(request["tasks"])
    return {"wanted": len(request["tasks"])}


HANDLERS: dict[str, Callable[[Keeper, Answer], Answer]] = {
    "register": _register,
    "facts": _facts,
    "observations": _observations,
    "tables": _tables,
    "inputs": _inputs,
    "wanted": _wanted,
}


async def serve_keeper(bus: Bus, keeper: Keeper, shard: str) -> list[Subscription]:
    """Answer requests until the bus is closed or the subscriptions are ended."""

    def handler(answer: Callable[[Keeper, Answer], Answer]) -> Callable[[Answer], Awaitable[Answer]]:
        return lambda request: asyncio.to_thread(answer, keeper, request)

    return [await bus.serve(f"contimg.rpc.{shard}.{verb}", handler(answer)) for verb, answer in HANDLERS.items()]


async def tend(keeper: Keeper) -> None:
    """Scan and clean up again and again (P8, P12) until cancelled; what fails is logged and tried again."""
    limits = keeper.limits
    pause = min(limits.scan_s, limits.cleanup_s)
    while True:
        await asyncio.sleep(pause)
        try:
            found = await asyncio.to_thread(keeper.scan)
            cleaned = await asyncio.to_thread(keeper.clean)
        except ContimgError as error:
            _log.warning("the keeper could not look after the volumes", error=str(error))
            continue
        for sentence in found.damaged.values():
            _log.warning("damaged", what=sentence)
        if cleaned.released or cleaned.attempts:
            _log.info("cleaned", released=len(cleaned.released), attempts=len(cleaned.attempts))


class KeeperClient:
    """The keeper of a shard, asked over the bus; raises what the keeper raised, or ``Unavailable`` if it is silent."""

    def __init__(self, bus: Bus, shard: str) -> None:
        self._bus = bus
        self._shard = shard

    async def _ask(self, verb: str, request: Mapping[str, Any]) -> Answer:
        return await self._bus.request(f"contimg.rpc.{self._shard}.{verb}", dict(request))

    async def register_run(self, task: str, home: str) -> None:
        """See :meth:`Keeper.register_run`."""
        await self._ask("register", {"kind": "run", "task": task, "home": home})

    async def register_attempt(self, task: str, number: int) -> None:
        """See :meth:`Keeper.register_attempt`."""
        await self._ask("register", {"kind": "attempt", "task": task, "number": number})

    async def register_group(self, record: GroupRecord) -> None:
        """See :meth:`Keeper.register_group`."""
        await self._ask("register", {"kind": "group", "record": record.model_dump(mode="json")})

    async def facts(
        self,
        tasks: Iterable[str] | None = None,
        groups: Iterable[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Facts:
        """See :meth:`Keeper.facts`."""
        request: Answer = {"start": start and start.isoformat(), "end": end and end.isoformat()}
        request |= {name: list(given) for name, given in (("tasks", tasks), ("groups", groups)) if given is not None}
        return Facts.model_validate(await self._ask("facts", request))

    async def refresh_ingest(self, ingest: IngestFact) -> None:
        """See :meth:`Keeper.refresh_ingest`."""
        await self._ask("observations", {"ingest": ingest.model_dump(mode="json")})

    async def observations(self, state: str | None = None) -> list[Answer]:
        """See :meth:`Queries.observations`."""
        return list((await self._ask("observations", {"state": state}))["observations"])

    async def tables(self) -> tuple[TableFact, ...]:
        """Return the solved bandpasses in order of their transits."""
        return tuple(TableFact.model_validate(item) for item in (await self._ask("tables", {}))["tables"])

    async def put_inputs(self, inputs: Mapping[str, Iterable[str]]) -> str:
        """Keep inputs of a task and return the digest under which :meth:`inputs` gives them back."""
        plain = {home: list(tasks) for home, tasks in inputs.items()}
        return str((await self._ask("inputs", {"inputs": plain}))["digest"])

    async def inputs(self, digest: str) -> dict[str, tuple[str, ...]]:
        """Return inputs that were kept."""
        found = (await self._ask("inputs", {"digest": digest}))["inputs"]
        return {home: tuple(tasks) for home, tasks in found.items()}

    async def wanted(self, tasks: Iterable[str]) -> None:
        """See :meth:`Keeper.wanted`; an empty wish also counts as said."""
        every = sorted(set(tasks))
        for start in range(0, max(len(every), 1), WANTED_PAGE):
            await self._ask("wanted", {"tasks": every[start : start + WANTED_PAGE]})
