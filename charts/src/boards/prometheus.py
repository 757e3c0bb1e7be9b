"""A Prometheus of our own for a while: it scrapes what it is told, on a loopback port, and answers queries."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

__all__ = ["Prometheus"]

START_S = 30.0


class Prometheus:
    """The server; a context manager that ends what it started.

    Parameters
    ----------
    directory
        For its data, configuration and log.
    targets
        Labels by address, ``host:port``.
    interval_s
        Between two scrapes, in seconds.
    rules
        File of alerts to evaluate.

    Raises
    ------
    RuntimeError
        If there is no such program, or it does not begin to serve.
    """

    def __init__(
        self,
        directory: Path,
        targets: Mapping[str, Mapping[str, str]],
        *,
        interval_s: float = 5.0,
        rules: Path | None = None,
    ) -> None:
        self._directory, self._targets, self._interval_s, self._rules = directory, targets, interval_s, rules
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        program = shutil.which("prometheus")
        if program is None:
            raise RuntimeError("there is no program prometheus; on Debian: apt-get install prometheus")
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._directory / "prometheus.json"
        config.write_text(json.dumps(self._configuration()))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._url = f"http://{address}"
        command = [program, f"--config.file={config}", f"--storage.tsdb.path={self._directory / 'data'}"]
        with (self._directory / "log").open("ab") as log:
            command.append(f"--web.listen-address={address}")
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own words
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)

    def _configuration(self) -> dict[str, Any]:
        interval = f"{round(self._interval_s * 1000)}ms"
        static = [{"targets": [address], "labels": dict(labels)} for address, labels in self._targets.items()]
        return {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "scrape_configs": [{"job_name": "contimg", "static_configs": static}],
            "rule_files": [str(self._rules.absolute())] if self._rules is not None else [],
        }

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(f"{self._url}/-/ready", timeout=5).close()  # noqa: S310 - http of our server
            except OSError as error:
                dead = self._process is not None and self._process.poll() is not None
                if dead or time.monotonic() > end:
                    log = (self._directory / "log").read_text(errors="replace")
                    raise RuntimeError(f"prometheus does not serve: {log[-1000:]}") from error
                time.sleep(0.1)
            else:
                return

    def _ask(self, what: str, **words: str) -> Any:
        query = urllib.parse.urlencode(words)
        try:
            url = f"{self._url}/api/v1/{what}?{query}"
            with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - http of our server
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["error"]) from error

    def instant(self, expr: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the series of an expression at a time (seconds since 1970; None: now).

        Raises
        ------
        RuntimeError
            If Prometheus refuses the expression.
        """
        when = {} if at is None else {"time": f"{at:.3f}"}
        return list(self._ask("query", query=expr, **when)["result"])

    def over(self, expr: str, start: float, end: float, step_s: float) -> list[dict[str, Any]]:
        """Return the series of an expression over a time; raises as :meth:`instant`."""
        words = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step_s:.3f}"}
        return list(self._ask("query_range", query=expr, **words)["result"])

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or firing."""
        return list(self._ask("alerts")["alerts"])
