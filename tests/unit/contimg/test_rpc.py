"""Requests over a real bus: pages, errors by their class, and what a slow, damaged or strange other side costs."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest
from nats_fixture import connected

from contimg import errors
from contimg.errors import BadInput, ContimgError, Damaged, Terminal, Unavailable


@pytest.fixture
async def bus(server):
    async with connected(server) as made:
        yield made


async def answering(bus, handler):
    await bus.serve("contimg.rpc.main.toy", handler)
    return partial(bus.request, "contimg.rpc.main.toy")


async def test_an_answer_of_many_pages_comes_whole(bus):
    async def handler(request):
        return {"text": request["word"] * bus.limits.page_bytes}

    ask = await answering(bus, handler)
    assert await ask({"word": "abc"}) == {"text": "abc" * bus.limits.page_bytes}


@pytest.mark.parametrize(
    ("raised", "seen", "words"),
    [
        (Damaged("the index is damaged"), Damaged, "the index is damaged"),
        (
            PermissionError(13, "Permission denied", "/state/groups"),
            Unavailable,
            r"cannot answer now .*Permission denied",
        ),
        (KeyError("task"), BadInput, "cannot read the request: KeyError"),
    ],
)
async def test_what_goes_wrong_there_is_told_here_by_its_class(bus, raised, seen, words):
    async def handler(_request):
        raise raised

    ask = await answering(bus, handler)
    with pytest.raises(seen, match=words):
        await ask({})


async def test_a_subject_that_nobody_serves_is_told_at_once(bus):
    with pytest.raises(Unavailable, match=r"nobody serves contimg\.rpc\.main\.nobody"):
        await bus.request("contimg.rpc.main.nobody", {}, timeout_s=60.0)


CLASSES = sorted(
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, ContimgError)
)


async def test_every_error_of_ours_travels_by_its_class(bus):
    """The class decides whether the asker tries again."""

    async def handler(request):
        raise getattr(errors, request["name"])(f"a {request['name']} of µJy")

    ask = await answering(bus, handler)
    for name in CLASSES:
        with pytest.raises(ContimgError) as caught:
            await ask({"name": name})
        assert (type(caught.value).__name__, str(caught.value)) == (name, f"a {name} of µJy")


async def test_an_error_does_not_end_the_service(bus):
    async def handler(request):
        if request.get("bad"):
            raise ValueError("bad")
        return request

    ask = await answering(bus, handler)
    with pytest.raises(BadInput):
        await ask({"bad": True})
    assert await ask({"good": 1}) == {"good": 1}


@pytest.mark.parametrize("data", [b"", b"{garbage", b"\xff\xfe"])
async def test_a_request_that_is_no_json_is_bad_input(bus, data):
    """Nobody of ours sends it: the answer must come all the same, and name the subject."""

    async def handler(request):
        return request

    await bus.serve("contimg.rpc.main.garbage", handler)
    answer = await bus._client.request("contimg.rpc.main.garbage", data, timeout=5)
    told = json.loads(answer.data)["error"]
    assert told["name"] == "BadInput"
    assert "contimg.rpc.main.garbage cannot read the request" in told["message"]


@pytest.mark.parametrize("extra", [-1, 0, 1])
async def test_an_answer_at_the_edge_of_a_page(bus, extra):
    """``{"ok": {"text": "…"}}`` is 20 bytes longer than its text."""

    async def handler(request):
        return {"text": "x" * request["size"]}

    ask = await answering(bus, handler)
    size = bus.limits.page_bytes - 20 + extra
    assert await ask({"size": size}) == {"text": "x" * size}


async def test_letters_of_several_bytes_survive_the_edges_of_pages(bus):
    async def handler(_request):
        return {"text": "µ″×😀" * bus.limits.page_bytes}

    ask = await answering(bus, handler)
    assert await ask({}) == {"text": "µ″×😀" * bus.limits.page_bytes}


async def test_many_askers_get_their_own_answers(bus):
    """The first request is answered last."""
    gate = asyncio.Event()

    async def handler(request):
        return {"number": request["number"], "text": "x" * bus.limits.page_bytes}

    async def slow(request):
        await gate.wait()
        return await handler(request)

    await bus.serve("contimg.rpc.main.slow", slow)
    ask = await answering(bus, handler)
    first = asyncio.create_task(bus.request("contimg.rpc.main.slow", {"number": -1}))
    answers = await asyncio.gather(*(ask({"number": n}) for n in range(20)))
    assert [answer["number"] for answer in answers] == list(range(20))
    assert not first.done()
    gate.set()
    assert (await first)["number"] == -1


async def test_a_page_that_never_comes_is_overdue(bus):
    """Whoever answers dies after the first of two pages."""

    async def half(message):
        await bus._client.publish(message.reply, b"{", headers={"Contimg-Page": "1", "Contimg-Pages": "2"})

    await bus._client.subscribe("contimg.rpc.main.half", cb=half)
    with pytest.raises(Unavailable, match=r"contimg\.rpc\.main\.half did not answer within 0\.1 s"):
        await bus.request("contimg.rpc.main.half", {}, timeout_s=0.1)


async def test_who_asks_leaves_no_subscription_behind(bus):
    async def handler(request):
        return request

    ask = await answering(bus, handler)
    before = len(bus._client._subs)
    for _ in range(10):
        await ask({})
    with pytest.raises(Unavailable):
        await bus.request("contimg.rpc.main.nobody", {})
    assert len(bus._client._subs) == before


async def test_an_error_class_of_a_newer_release_is_not_tried_again_for_ever(bus):
    async def newer(message):
        await bus._client.publish(message.reply, b'{"error": {"name": "NotYetInvented", "message": "later"}}')

    await bus._client.subscribe("contimg.rpc.main.newer", cb=newer)
    with pytest.raises(Terminal, match="later"):
        await bus.request("contimg.rpc.main.newer", {})
