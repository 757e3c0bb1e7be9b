"""Calls to an API server with the user's own rights; what it refuses is a sentence with the cure.

``kubernetes`` takes 0.3 s to import, so it is imported by the first call: commands on this machine never wait for it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from contimg.errors import BadConfig, ContimgError, Unavailable, UserError
from contimg.models.spec import nearest

__all__ = ["Kube"]

TIMEOUT_S = (10.0, 60.0)
"""To connect, and between two pieces of an answer."""
MISSING = 404
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Kube:
    """One namespace of a cluster, as the user's kubeconfig knows it.

    Parameters
    ----------
    context
        Name of a context; empty: the current one.
    namespace
        Name of a namespace; empty: that of the context.

    Raises
    ------
    BadConfig
        If there is no kubeconfig, or no such context in it.
    """

    def __init__(self, context: str, namespace: str) -> None:
        known, current = _contexts()
        named = context or current
        if named not in known:
            said = f"no context {named!r}{nearest(named, known)}" if named else "no current context; give --context"
            raise BadConfig(f"kubeconfig {_kubeconfig()} has {said}; it has {', '.join(sorted(known)) or 'none'}")
        self.context = named
        self.namespace = _checked(namespace or known[named].get("namespace") or "default")

    @property
    def place(self) -> str:
        """Where it looks, for sentences."""
        return f"namespace {self.namespace!r} of context {self.context!r}"

    @cached_property
    def client(self) -> Any:
        """The logged-in client; nothing is sent yet."""
        from kubernetes import client, config  # noqa: PLC0415 - see above

        settings = client.Configuration()
        settings.retries = False
        try:
            config.load_kube_config(_kubeconfig(), context=self.context, client_configuration=settings)
        except Exception as error:  # the kubeconfig's own programs and keys: many classes, none of them shared
            raise BadConfig(f"context {self.context!r} of {_kubeconfig()} cannot be used: {_line(error)}") from error
        return client.ApiClient(settings)

    def call(self, what: str, function: Callable[..., Any], *words: Any, **more: Any) -> Any:
        """Call the API server; None if the thing is not there.

        Raises
        ------
        UserError
            If the user may not do it.
        Unavailable
            If the API server does not answer.
        """
        from kubernetes.client import ApiException  # noqa: PLC0415 - see above
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - see above

        try:
            return function(*words, **more, _request_timeout=TIMEOUT_S)
        except ApiException as error:
            if (status := _status(error)) == MISSING:
                return None
            raise self._refused(what, status, _message(error)) from error
        except (HTTPError, OSError) as error:
            host = self.client.configuration.host
            raise Unavailable(
                f"the API server {host} of context {self.context!r} does not answer: {_line(error)}"
            ) from error

    def _refused(self, what: str, status: int, said: str) -> ContimgError:
        if status == 401:
            return UserError(f"context {self.context!r}: the API server does not know you ({said}); log in again")
        if status == 403:
            return UserError(f"you may not {what} in {self.place}: {said}; ask whoever runs the cluster for the right")
        if status == 409:
            return Unavailable(f"somebody else changed it at the same time in {self.place}; do it again")
        return Unavailable(f"the API server would not {what} in {self.place} ({status}): {said}")

    def check_namespace(self) -> None:
        """Say so if the namespace is not there; who may not ask is not told.

        Raises
        ------
        BadConfig
            If the cluster has no such namespace.
        """
        from kubernetes.client import CoreV1Api  # noqa: PLC0415 - see above

        api = CoreV1Api(self.client)
        try:
            if self.call("read the namespace", api.read_namespace, self.namespace) is not None:
                return
            names = [item.metadata.name for item in self.call("list namespaces", api.list_namespace).items]
        except UserError:
            return
        hint = nearest(self.namespace, names)
        raise BadConfig(f"the cluster of context {self.context!r} has no namespace {self.namespace!r}{hint}")


def _checked(namespace: str) -> str:
    if NAME.fullmatch(namespace):
        return namespace
    shown = repr(namespace if len(namespace) <= 63 else f"{namespace[:63]}…")
    raise BadConfig(f"{shown} is no name of a namespace: that is at most 63 lower-case letters, digits and hyphens")


def _kubeconfig() -> str:
    return os.environ.get("KUBECONFIG") or "~/.kube/config"


def _contexts() -> tuple[dict[str, dict[str, Any]], str]:
    """Return the contexts of the user's kubeconfig, and the name of the current one."""
    try:
        from kubernetes import config  # noqa: PLC0415 - see above
    except ImportError as error:
        raise BadConfig(f"looking at a cluster needs a package ({error}); install contimg[operator]") from error
    from yaml import YAMLError  # noqa: PLC0415 - see above

    try:
        found, current = config.list_kube_config_contexts(_kubeconfig())
    except (config.ConfigException, OSError, YAMLError, TypeError) as error:
        cure = "set KUBECONFIG to the file that gives you access"
        raise BadConfig(f"there is no usable kubeconfig at {_kubeconfig()} ({_line(error)}); {cure}") from error
    return {each["name"]: each.get("context") or {} for each in found}, (current or {}).get("name", "")


def _status(error: Any) -> int:
    """Return the HTTP status of a refusal; where a connection was to be upgraded it stands in the text alone."""
    found = re.match(r"Handshake status (\d{3})", str(error.reason))
    return int(found[1]) if found else int(error.status or 0)


def _message(error: Any) -> str:
    """Return what the API server said, which names user, verb and resource."""
    found = re.search(r'"message":("(?:[^"\\]|\\.)*")', str(error.body or error.reason))
    return str(json.loads(found[1])) if found else _line(error.reason or error.status)


def _line(error: object) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}…"
