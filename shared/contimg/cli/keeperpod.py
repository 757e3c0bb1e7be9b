"""Records of a cluster: the same command, run in the keeper's pod by ``exec`` with the user's own rights.

Manifests, indexes and logs lie on volumes that only pods of the release mount. No server is added for them: whoever may
``exec`` into the keeper's pod may read them, by the very code that reads them on one machine.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Sequence
from typing import IO, Any

from contimg.cli.kube import Kube
from contimg.errors import Unavailable

__all__ = ["ask", "execute", "pass_on"]

SELECTOR = "app.kubernetes.io/name=contimg,app.kubernetes.io/component=keeper"
CONTAINER = "keeper"
STDOUT, STDERR, RESULT = 1, 2, 3
"""Channels of the protocol of ``exec``."""
WAIT_S = 1.0
"""Longest pause between two looks at the connection, so that Ctrl-C is heard."""


def pass_on(kube: Kube, words: Sequence[str]) -> int:
    """Run a command of ours in the keeper's pod, print what it prints, and return its exit code."""
    return execute(kube, words, sys.stdout.buffer, sys.stderr.buffer)


def ask(kube: Kube, words: Sequence[str]) -> tuple[bytes, int]:
    """Run a command of ours in the keeper's pod; return what it printed and its exit code. Its errors are shown."""
    printed = io.BytesIO()
    code = execute(kube, words, printed, sys.stderr.buffer)
    return printed.getvalue(), code


def execute(kube: Kube, words: Sequence[str], out: IO[bytes], err: IO[bytes]) -> int:
    """Run a command of ours in the keeper's pod.

    Raises
    ------
    UserError
        If the user may not.
    Unavailable
        If no keeper runs there, or the connection broke.
    """
    from kubernetes.client import CoreV1Api  # noqa: PLC0415 - 0.3 s, for commands that ask a cluster
    from kubernetes.stream import stream  # noqa: PLC0415 - the same

    api = CoreV1Api(kube.client)
    pod, container = _keeper(kube, api)
    argv = ["env", *_terminal(), "python", "-m", "contimg.cli", *words]
    how = {"stdin": False, "stdout": True, "stderr": True, "tty": False, "_preload_content": False, "binary": True}
    run = api.connect_get_namespaced_pod_exec
    link = kube.call("exec into pods", stream, run, pod, kube.namespace, container=container, command=argv, **how)
    if link is None:
        raise Unavailable(f"pod {pod} in {kube.place}, or its node, is gone; do it again when it is back")
    _copy(link, out, err)
    return _code(link, pod)


def _keeper(kube: Kube, api: Any) -> tuple[str, str]:
    """Return pod and container of the keeper."""
    found = kube.call("list pods", api.list_namespaced_pod, kube.namespace, label_selector=SELECTOR).items
    living = [pod for pod in found if pod.metadata.deletion_timestamp is None]
    if found and not living:
        raise Unavailable(f"the keeper's pod {found[0].metadata.name} in {kube.place} is just being ended; do it again")
    if not living:
        kube.check_namespace()
        raise Unavailable(
            f"no keeper runs in {kube.place} (no pod has the labels {SELECTOR}), and only it can read the records; "
            f"'helm list -n {kube.namespace}' says whether the chart is installed there"
        )
    pod = max(living, key=lambda each: each.metadata.creation_timestamp)
    if pod.status.phase != "Running":
        raise Unavailable(f"the keeper's pod {pod.metadata.name} in {kube.place} does not run yet: {_state(pod)}")
    names = [each.name for each in pod.spec.containers]
    return pod.metadata.name, CONTAINER if CONTAINER in names else names[0]


def _state(pod: Any) -> str:
    """Return what keeps a pod from running, as its node or the scheduler says."""
    states = [each.state for each in pod.status.container_statuses or () if each.state is not None]
    waiting = [each.waiting for each in states if each.waiting is not None]
    unmet = [each for each in pod.status.conditions or () if each.status != "True" and each.message]
    said = [f"{each.reason}: {each.message or 'no message'}" for each in (*waiting, *unmet)]
    return said[0] if said else f"its phase is {pod.status.phase}"


def _terminal() -> list[str]:
    """Return the variables by which the output fits the user's terminal, if there is one."""
    if not sys.stdout.isatty():
        return []
    size = shutil.get_terminal_size()
    kept = [f"{name}={os.environ[name]}" for name in ("TERM", "NO_COLOR") if os.environ.get(name)]
    return ["FORCE_COLOR=1", f"COLUMNS={size.columns}", f"LINES={size.lines}", *kept]


def _copy(link: Any, out: IO[bytes], err: IO[bytes]) -> None:
    """Hand on what comes until the command has ended; who reads no longer ends it."""
    try:
        while link.is_open():
            link.update(timeout=WAIT_S)
            for channel, target in ((STDOUT, out), (STDERR, err)):
                if piece := link.read_channel(channel):
                    target.write(piece)
                    target.flush()
    finally:
        link.close()


def _code(link: Any, pod: str) -> int:
    """Return the exit code that the node tells at the end."""
    try:
        code = link.returncode
    except (TypeError, KeyError, ValueError) as error:
        raise Unavailable(f"the connection to pod {pod} broke before the command had ended; do it again") from error
    return int(code)
