"""What each service may do on the bus is enough, and not more: asked of a real server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import nats
import pytest
from nats.aio.client import Client
from waiting import until

from contimg.access import HOST, KEEPER, User, authorization, configuration, users
from contimg.keeper.service import HANDLERS
from contimg.models.spec import Scope, specs
from contimg.servers.nats import NatsServer, nats_program
from contimg.streams import TASKS, consumer_name, rpc_subject, task_subject

KNOWN = {user.name: user for user in users("main", specs().values())}
WORKERS = [spec.name for spec in specs().values() if spec.scope is not Scope.WATCHER]
WATCHERS = [spec.name for spec in specs().values() if spec.scope is Scope.WATCHER]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[NatsServer]:
    block = authorization(KNOWN.values(), {name: f"secret-{name}" for name in KNOWN})
    with NatsServer(tmp_path_factory.mktemp("nats"), authorization=block) as running:
        yield running


@asynccontextmanager
async def client(server: NatsServer, name: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """Connect as a service; the list gets what the server forbids."""
    forbidden: list[str] = []

    async def note(error: Exception) -> None:
        forbidden.append(str(error))

    connected = await nats.connect(
        server.url, user=name, password=f"secret-{name}", inbox_prefix=f"_INBOX_{name}", error_cb=note
    )
    try:
        yield connected, forbidden
    finally:
        await connected.close()


async def is_forbidden(server: NatsServer, name: str, *, publish: str = "", subscribe: str = "") -> bool:
    async with client(server, name) as (connected, forbidden):
        if publish:
            await connected.publish(publish, b"{}")
        if subscribe:
            await connected.subscribe(subscribe)
        await connected.flush()
        for _ in range(300):  # the client tells of an error by a task of its own
            if any("permissions violation" in text.lower() for text in forbidden):
                return True
            await asyncio.sleep(0.01)
    return False


def test_every_stage_host_and_keeper_have_a_user():
    assert set(KNOWN) == {HOST, KEEPER, *specs()}


def test_the_verbs_of_the_keeper_are_those_somebody_asks():
    served = {subject.rsplit(".", 1)[-1] for subject in KNOWN[KEEPER].subscribe}
    assert served == set(HANDLERS)


def test_nobody_may_publish_or_hear_everything():
    for user in KNOWN.values():
        for subject in (*user.publish, *user.subscribe):
            assert subject.split(".")[0] not in {"*", ">"}
            assert subject not in {"contimg.>", "$JS.>", "$JS.API.>", "_INBOX.>"}


OTHER = {stage: WORKERS[(number + 1) % len(WORKERS)] for number, stage in enumerate(WORKERS)}
DENIED = [
    *((stage, {"publish": task_subject("main", stage, "0" * 32)}) for stage in WORKERS),
    *(
        (stage, {"publish": f"$JS.API.CONSUMER.MSG.NEXT.{TASKS}.{consumer_name('main', OTHER[stage])}"})
        for stage in WORKERS
    ),
    *((stage, {"subscribe": rpc_subject("main", "facts")}) for stage in WORKERS),
    *((stage, {"subscribe": "_INBOX_host.>"}) for stage in WORKERS[:3]),
    *((stage, {"publish": rpc_subject("main", "wanted")}) for stage in WORKERS[:3]),
    *((stage, {"publish": rpc_subject("other", "register")}) for stage in WORKERS[:3]),
    *((stage, {"publish": f"$JS.API.STREAM.DELETE.{TASKS}"}) for stage in [*WORKERS[:3], HOST, KEEPER]),
    *((watcher, {"publish": rpc_subject("main", "register")}) for watcher in WATCHERS),
    *((watcher, {"subscribe": "contimg.event.>"}) for watcher in WATCHERS),
    (KEEPER, {"publish": task_subject("main", WORKERS[0], "0" * 32)}),
    (KEEPER, {"subscribe": "contimg.task.>"}),
    (HOST, {"subscribe": rpc_subject("main", "facts")}),
    (HOST, {"publish": rpc_subject("main", "register")}),
    (HOST, {"publish": task_subject("other", WORKERS[0], "0" * 32)}),
    (HOST, {"subscribe": "_INBOX_keeper.>"}),
]


@pytest.mark.parametrize(
    ("name", "what"), DENIED, ids=lambda item: item if isinstance(item, str) else "-".join(item.values())
)
async def test_what_is_not_its_business_is_forbidden(server, name, what):
    assert await is_forbidden(server, name, **what)


def test_there_are_thirty_denials():
    assert len(DENIED) >= 30


@pytest.mark.parametrize("name", sorted(KNOWN))
async def test_its_own_subjects_are_allowed(server, name):
    async with client(server, name) as (connected, forbidden):
        for subject in KNOWN[name].publish:
            if not subject.startswith("$JS"):
                await connected.publish(subject.replace("*", "x").replace(">", "x"), b"{}")
        for subject in (*KNOWN[name].subscribe, f"_INBOX_{name}.x"):
            await connected.subscribe(subject)
        await connected.flush()
        assert forbidden == []


async def test_the_keeper_answers_on_the_inbox_of_whoever_asked(server):
    async with client(server, KEEPER) as (keeper, _), client(server, HOST) as (host, _):

        async def answer(message):
            await message.respond(b"facts")

        await keeper.subscribe(rpc_subject("main", "facts"), cb=answer)
        await keeper.flush()
        reply = await host.request(rpc_subject("main", "facts"), b"{}", timeout=5)
        assert reply.data == b"facts"


def test_a_user_without_subjects_may_publish_nothing():
    assert User("silent").permissions()["publish"] == {"deny": [">"]}


async def test_the_configuration_of_a_site_is_taken_by_a_server(tmp_path):
    config = tmp_path / "site.conf"
    config.write_text(f"listen: 127.0.0.1:-1\nports_file_dir: {tmp_path}\n{configuration('main')}\n")
    passwords = {f"CONTIMG_PASSWORD_{name.upper().replace('-', '_')}": f"secret-{name}" for name in KNOWN}
    environment = os.environ | passwords
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(  # noqa: ASYNC220 - it is there in a moment
            [nats_program(), "-c", config], env=environment, stdout=log, stderr=log
        )
    try:
        (ports,) = until(lambda: [path for path in tmp_path.glob("*.ports") if path.read_text()])
        url = json.loads(ports.read_text())["nats"][0]
        connected = await nats.connect(url, user=HOST, password=f"secret-{HOST}", inbox_prefix=f"_INBOX_{HOST}")
        await connected.close()
        with pytest.raises(nats.errors.Error):
            await nats.connect(url, user=HOST, password="wrong", allow_reconnect=False)  # noqa: S106 - to be refused
    finally:
        server.kill()
        server.wait()
