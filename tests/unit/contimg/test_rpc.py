from __future__ import annotations

from functools import partial

import pytest
from nats_fixture import connected

from contimg.errors import BadInput, Damaged, Unavailable


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
