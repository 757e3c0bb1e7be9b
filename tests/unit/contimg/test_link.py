"""One connection: what ends it for good, what is only an outage, and what a wrong setting is called."""

from __future__ import annotations

import asyncio
import socket

import pytest
from nats_fixture import QUICK

from contimg.access import User, authorization
from contimg.bus import Bus
from contimg.errors import BadConfig, Unavailable
from contimg.link import Link, connect
from contimg.servers.nats import NatsServer

URL = "nats://somewhere:4222"


async def up() -> Link:
    link = Link(URL, "image")
    link.is_up = True
    return link


REFUSALS = [
    "nats: 'Authorization Violation'",
    'nats: permissions violation for publish to "contimg.task.main.image.1"',
    "nats: 'User Authorization Expired'",
]


@pytest.mark.parametrize("text", REFUSALS)
async def test_a_refusal_ends_the_connection_for_good(text):
    link = await up()
    await link.on_error(RuntimeError(text))
    with pytest.raises(BadConfig) as caught:
        await link.closed
    sentence = str(caught.value)
    assert sentence.startswith(f"nats-server at {URL} refuses user 'image' ({text}); mend CONTIMG_NATS_USER")


@pytest.mark.parametrize("error", [RuntimeError("nats: slow consumer"), ConnectionResetError(104, "reset"), OSError()])
async def test_any_other_error_is_only_noted(error):
    link = await up()
    await link.on_error(error)
    assert not link.closed.done()


async def test_of_several_refusals_the_first_one_counts():
    link = await up()
    await link.on_error(RuntimeError("Authorization Violation"))
    await link.on_error(RuntimeError("permissions violation for subscription"))
    await link.on_closed()
    with pytest.raises(BadConfig, match="Authorization Violation"):
        await link.closed


async def test_an_end_that_nobody_asked_for_is_for_good():
    link = await up()
    await link.on_closed()
    with pytest.raises(BadConfig, match="it closed the connection for good"):
        await link.closed


async def test_before_it_was_up_a_refusal_is_raised_into_the_call_that_connects():
    link = Link(URL, "image")
    with pytest.raises(BadConfig, match="refuses user 'image'"):
        await link.on_error(RuntimeError("Authorization Violation"))
    assert not link.closed.done(), "nobody would ever look at it"


async def test_the_end_of_an_outage_wakes_once():
    link = await up()
    waiting = asyncio.create_task(link.reconnected.wait())
    await asyncio.sleep(0)
    await link.on_reconnected()
    assert await waiting
    link.reconnected.clear()
    assert not link.reconnected.is_set()


async def test_nobody_listens_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"nats://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Unavailable, match=rf"nats-server at {url} cannot be reached \(.+\); start it or mend"):
            await connect(url, "u", "p", "", 0.3)


async def test_a_server_that_takes_the_call_and_says_nothing_is_not_waited_for_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"nats://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unavailable, match=r"cannot be reached \(\w+"):
            await connect(url, "u", "p", "", 0.2)


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
async def test_certificates_that_cannot_be_read_are_named_with_their_variable(tmp_path, content):
    """They do not mend themselves: the process ends with a sentence instead of a traceback."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadConfig, match=rf"CONTIMG_NATS_CA = '{path}' cannot be used \(.+\); name a file of PEM"):
        await connect("tls://127.0.0.1:1", "u", "p", str(path), 0.2)


@pytest.mark.integration
async def test_a_subject_that_a_user_may_not_use_ends_its_connection(tmp_path):
    """A real server with two users: what one may do ends only the other."""
    known = [User("teller", publish=("contimg.event.main.toy.*",)), User("deaf")]
    passwords = {user.name: f"secret of {user.name}" for user in known}
    with NatsServer(tmp_path / "nats", authorization=authorization(known, passwords)) as server:
        async with (
            await Bus.connect(server.url, "teller", passwords["teller"], limits=QUICK) as teller,
            await Bus.connect(server.url, "deaf", passwords["deaf"], limits=QUICK) as deaf,
        ):
            for bus in (teller, deaf):
                await bus.event("started", "toy", "u", {})
                await bus._client.flush()
            with pytest.raises(BadConfig, match=r"refuses user 'deaf' .*contimg\.event\.main\.toy\.started"):
                await asyncio.wait_for(deaf.closed, 10.0)
            assert not teller.closed.done()
