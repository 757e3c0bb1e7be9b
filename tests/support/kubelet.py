"""The part of a node that ``exec`` needs: a command in a pod is run as a process of this machine.

A real API server asks it as it asks a kubelet, so rights, addresses and the protocol of ``exec`` are the real ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from apiserver import ApiServer, free_ports

__all__ = ["PROTOCOL", "Kubelet"]

PROTOCOL = "--feature-gates=TranslateStreamCloseWebsocketRequests=false"
"""Word of kube-apiserver: it passes the connection on as it is, instead of speaking SPDY with the node."""
_V4 = "v4.channel.k8s.io"
_STDOUT, _STDERR, _RESULT = b"\x01", b"\x02", b"\x03"


class Kubelet:
    """A node; a context manager.

    Parameters
    ----------
    directory
        For its key.
    environment
        What a command in one of its pods finds beside the path.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = {**environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        (self.port,) = free_ports(1)
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.commands: list[list[str]] = []
        """What was run, in order."""

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True)
        openssl = shutil.which("openssl")
        words = "req -x509 -newkey rsa:2048 -nodes -subj /CN=node -days 2 -keyout key.pem -out cert.pem"
        subprocess.run([str(openssl), *words.split()], cwd=self._directory, check=True, capture_output=True)
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def register(self, server: ApiServer, name: str = "node") -> None:
        """Make it a node of a cluster."""
        server.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
        }
        server.kubectl("patch", "node", name, "--subresource=status", "-p", json.dumps({"status": status}))

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/exec/{namespace}/{pod}/{container}", self._exec)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        keys = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        keys.load_cert_chain(self._directory / "cert.pem", self._directory / "key.pem")
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=keys).start()

    async def _exec(self, request: web.Request) -> web.WebSocketResponse:
        link = web.WebSocketResponse(protocols=(_V4,))
        await link.prepare(request)
        command = request.query.getall("command")
        self.commands.append(command)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=self._environment)
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(_hand_on(process.stdout, _STDOUT, link), _hand_on(process.stderr, _STDERR, link))
            await link.send_bytes(_RESULT + json.dumps(_result(await process.wait())).encode())
            await link.close()
        return link


async def _hand_on(source: Any, channel: bytes, link: web.WebSocketResponse) -> None:
    while piece := await source.read(4096):
        await link.send_bytes(channel + piece)


def _result(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}
