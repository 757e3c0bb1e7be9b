"""The keeper on the bus, one request per verb of :data:`HANDLERS`, and its client with the same face.

The bus cuts answers into pages and carries our errors by class. Handlers run in threads: a slow disk never holds up
the heartbeats of a process that also works on tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog
from nats.aio.subscription import Subscription

from contimg.bus import Bus
from contimg.errors import BadInput, ContimgError, Damaged, ResourceExhausted, Unavailable
from contimg.keeper.facts import TASKS_AT_ONCE, questions
from contimg.keeper.keeper import Keeper
from contimg.keeper.measures import measure
from contimg.models.fact import Facts, GroupRecord, Needs
from contimg.models.survey import FileSetRules
from contimg.process import Process
from contimg.streams import rpc_subject
from contimg.telemetry import KEEPER_SECONDS

__all__ = ["HANDLERS", "KeeperClient", "serve_keeper", "tend"]

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


def _facts(keeper: Keeper, request: Answer) -> Answer:
    return keeper.page(Needs.model_validate(request)).model_dump(mode="json")


def _survey(keeper: Keeper, request: Answer) -> Answer:
    start = datetime.fromisoformat(request["start"]) if request["start"] else None
    return keeper.survey(start, request["after"]).model_dump(mode="json")


def _rules(keeper: Keeper, request: Answer) -> Answer:
    keeper.rules({name: FileSetRules.model_validate(rules) for name, rules in request["rules"].items()})
    return {"rules": len(request["rules"])}


def _inputs(keeper: Keeper, request: Answer) -> Answer:
    """Keep the inputs of a task with too many of them for a message, or give them back (P2)."""
    if "inputs" in request:
        return {"digest": keeper.put_inputs(request["inputs"])}
    return {"inputs": keeper.inputs(request["digest"])}


def _wanted(keeper: Keeper, request: Answer) -> Answer:
    keeper.wanted(request["tasks"])
    return {"wanted": len(request["tasks"])}


HANDLERS: dict[str, Callable[[Keeper, Answer], Answer]] = {
    "register": _register,
    "facts": _facts,
    "survey": _survey,
    "rules": _rules,
    "inputs": _inputs,
    "wanted": _wanted,
}


async def serve_keeper(bus: Bus, keeper: Keeper, shard: str) -> list[Subscription]:
    """Answer requests until the bus is closed or the subscriptions are ended."""

    def handler(verb: str) -> Callable[[Answer], Awaitable[Answer]]:
        answer = KEEPER_SECONDS.labels(verb).time()(HANDLERS[verb])
        return lambda request: asyncio.to_thread(answer, keeper, request)

    return [await bus.serve(rpc_subject(shard, verb), handler(verb)) for verb in HANDLERS]


async def serve(process: Process) -> None:
    """Be the keeper service until told to stop: open the index, answer, look after the volumes.

    Another keeper on the same state directory, or a full disk, is waited for.
    """
    process.health.unready = "the index is brought up to date"
    with await process.wait_for(
        "the state directory", asyncio.to_thread, Keeper, process.layout, process.limits
    ) as keeper:
        bus = await process.connect()
        async with bus:
            await serve_keeper(bus, keeper, bus.shard)
            process.spawn(tend(keeper))
            process.spawn(_measure(keeper))
            _log.info("keeper serves", shard=bus.shard, state=str(process.layout.state))
            await process.stopping.wait()


async def tend(keeper: Keeper) -> None:
    """Scan and clean up again and again (P8, P12) until cancelled; what fails is logged and tried again.

    Raises
    ------
    Damaged
        If a database turned out damaged: it is built again when the keeper is started again.
    """
    limits = keeper.limits
    pause = min(limits.scan_s, limits.cleanup_s)
    while True:
        await asyncio.sleep(pause)
        try:
            with KEEPER_SECONDS.labels("scan").time():
                found = await asyncio.to_thread(keeper.scan)
            with KEEPER_SECONDS.labels("clean").time():
                cleaned = await asyncio.to_thread(keeper.clean)
        except Damaged:
            raise
        except (ContimgError, OSError) as error:
            _log.warning("the keeper could not look after the volumes", error=str(error))
            continue
        for sentence in found.damaged.values():
            _log.warning("damaged", what=sentence)
        if cleaned.released or cleaned.attempts:
            _log.info("cleaned", released=len(cleaned.released), attempts=len(cleaned.attempts))


async def _measure(keeper: Keeper) -> None:
    """Show what lies on the disks again and again until cancelled; what cannot be looked at shows no new figures."""
    while True:
        try:
            await asyncio.to_thread(measure, keeper.layout, keeper.index, keeper.limits)
        except (ContimgError, OSError) as error:
            _log.warning("the keeper could not measure the volumes", error=str(error))
        await asyncio.sleep(keeper.limits.look_s)


class KeeperClient:
    """The keeper of a shard, asked over the bus; raises what the keeper raised, or ``Unavailable`` if it is silent."""

    def __init__(self, bus: Bus, shard: str) -> None:
        self._bus = bus
        self._shard = shard

    async def _ask(self, verb: str, request: Mapping[str, Any]) -> Answer:
        return await self._bus.request(rpc_subject(self._shard, verb), dict(request))

    async def page(self, needs: Needs) -> Facts:
        """See :meth:`Keeper.page`."""
        return Facts.model_validate(await self._ask("facts", needs.model_dump(mode="json", exclude_defaults=True)))

    async def facts(self, needs: Needs) -> Facts:
        """See :meth:`Keeper.facts`."""
        found = Facts()
        for question in questions(needs):
            page = await self.page(question)
            found = found.merged(page)
            while page.more:
                page = await self.page(question.model_copy(update={"after": page.more}))
                found = found.merged(page)
        return found

    async def survey(self, start: datetime | None, after: str = "") -> Facts:
        """See :meth:`Keeper.survey`."""
        return Facts.model_validate(await self._ask("survey", {"start": start and start.isoformat(), "after": after}))

    async def rules(self, rules: Mapping[str, FileSetRules]) -> None:
        """See :meth:`Keeper.rules`."""
        await self._ask("rules", {"rules": {name: item.model_dump(mode="json") for name, item in rules.items()}})

    async def put_inputs(self, inputs: Mapping[str, Iterable[str]]) -> str:
        """See :meth:`Keeper.put_inputs`."""
        plain = {home: list(tasks) for home, tasks in inputs.items()}
        return str((await self._ask("inputs", {"inputs": plain}))["digest"])

    async def inputs(self, digest: str) -> dict[str, tuple[str, ...]]:
        """See :meth:`Keeper.inputs`."""
        found = (await self._ask("inputs", {"digest": digest}))["inputs"]
        return {home: tuple(tasks) for home, tasks in found.items()}

    async def wanted(self, tasks: Iterable[str]) -> None:
        """See :meth:`Keeper.wanted`; an empty wish also counts as said."""
        every = sorted(set(tasks))
        for start in range(0, max(len(every), 1), TASKS_AT_ONCE):
            await self._ask("wanted", {"tasks": every[start : start + TASKS_AT_ONCE]})
