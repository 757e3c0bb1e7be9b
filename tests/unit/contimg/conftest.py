from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from nats_fixture import Bench, connected
from toy_stages import layout_in

from contimg.servers.nats import NatsServer
from contimg.volume.layout import Layout


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture
def layout(tmp_path, monkeypatch) -> Layout:
    monkeypatch.setenv("PYTHONPATH", "tests/support:shared:services")
    return layout_in(tmp_path)


@pytest.fixture
async def bench(server, layout, request) -> AsyncIterator[Bench]:
    async with connected(server) as bus:
        await bus._jetstream.purge_stream("CONTIMG_TASKS")
        yield Bench(layout, bus)
