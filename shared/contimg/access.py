"""Who may say what on the bus: one NATS user per service, its subjects made by the functions its code calls.

A worker that was broken into can spoil its own stage and what it registers with the keeper: it cannot ask for tasks,
take those of another stage, speak for the keeper, or listen to another service's answers, since every user has inboxes
of its own. It may read what lies in the queue, also of other stages: whether its task was withdrawn is seen there.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from contimg.models.spec import Scope, StageSpec, specs
from contimg.streams import (
    DEAD,
    EVENTS,
    TASKS,
    consumer_name,
    dead_subject,
    event_filter,
    event_subject,
    rpc_subject,
    task_subject,
)

__all__ = ["HOST", "KEEPER", "User", "authorization", "configuration", "users"]

HOST, KEEPER = "host", "keeper"
"""Users of the two services that are no stage."""
_WORKER_ASKS = ("inputs", "register")
_HOST_ASKS = ("facts", "inputs", "rules", "survey", "wanted")
_ANSWERS = {"max": 10_000, "expires": "1m"}
"""Pages of one answer of the keeper, and how long they may take."""


@dataclass(frozen=True)
class User:
    """Permissions of one service."""

    name: str
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    answers: bool = False
    """Whether it answers requests of others, on their inboxes."""

    def permissions(self) -> dict[str, Any]:
        """Return the block of nats-server's configuration; the own inboxes are always readable."""
        allowed: dict[str, Any] = {
            "publish": {"allow": list(self.publish)} if self.publish else {"deny": [">"]},
            "subscribe": {"allow": [*self.subscribe, f"_INBOX_{self.name}.>"]},
        }
        return allowed | ({"allow_responses": _ANSWERS} if self.answers else {})


def users(shard: str, specs: Iterable[StageSpec]) -> tuple[User, ...]:
    """Return the users of a shard: host, keeper, and one per stage.

    Parameters
    ----------
    shard
        The staging volume; users of another one have other subjects.
    specs
        The installed stages.
    """
    known = list(specs)
    workers = [spec.name for spec in known if spec.scope is not Scope.WATCHER]
    watchers = [spec.name for spec in known if spec.scope is Scope.WATCHER]
    return (
        _host(shard, workers),
        User(
            KEEPER,
            subscribe=tuple(rpc_subject(shard, verb) for verb in sorted({*_WORKER_ASKS, *_HOST_ASKS})),
            answers=True,
        ),
        *(_worker(shard, name) for name in workers),
        *(User(name, publish=(event_subject(shard, name, "*"),)) for name in watchers),
    )


def _host(shard: str, stages: Iterable[str]) -> User:
    names = list(stages)
    streams = [
        f"$JS.API.STREAM.{verb}.{stream}" for verb in ("INFO", "CREATE", "UPDATE") for stream in (TASKS, EVENTS, DEAD)
    ]
    consumers = [
        f"$JS.API.CONSUMER.{verb}.{TASKS}.{consumer_name(shard, name)}"
        for verb in ("INFO", "DURABLE.CREATE")
        for name in names
    ]
    consumers += [f"$JS.API.CONSUMER.CREATE.{TASKS}.{consumer_name(shard, name)}.>" for name in names]
    asked = [task_subject(shard, name, "*") for name in names]
    rpc = [rpc_subject(shard, verb) for verb in _HOST_ASKS]
    queue = [f"$JS.API.STREAM.PURGE.{TASKS}", f"$JS.API.STREAM.MSG.GET.{TASKS}"]
    return User(HOST, publish=(*streams, *queue, *consumers, *asked, *rpc), subscribe=(event_filter(shard),))


def _worker(shard: str, stage: str) -> User:
    consumer = f"{TASKS}.{consumer_name(shard, stage)}"
    publish = (
        f"$JS.API.CONSUMER.INFO.{consumer}",
        f"$JS.API.CONSUMER.MSG.NEXT.{consumer}",
        f"$JS.API.STREAM.MSG.GET.{TASKS}",
        f"$JS.ACK.{consumer}.>",
        event_subject(shard, stage, "*"),
        dead_subject(shard, stage, "*"),
        *(rpc_subject(shard, verb) for verb in _WORKER_ASKS),
    )
    return User(stage, publish=publish)


def authorization(known: Iterable[User], passwords: Mapping[str, str]) -> dict[str, Any]:
    """Return the ``authorization`` block of nats-server's configuration, which reads JSON.

    Parameters
    ----------
    known
        The users.
    passwords
        One for each of them, by name.
    """
    return {
        "users": [
            {"user": user.name, "password": passwords[user.name], "permissions": user.permissions()} for user in known
        ]
    }


def configuration(shard: str) -> str:
    """Return the block as a site includes it in its nats-server configuration.

    Passwords are variables, ``$CONTIMG_PASSWORD_<USER>``, which nats-server takes from its environment.
    """
    known = users(shard, specs().values())
    names = {user.name: f"$CONTIMG_PASSWORD_{user.name.upper().replace('-', '_')}" for user in known}
    text = json.dumps(authorization(known, names), indent=1)
    return "authorization: " + re.sub(r'"(\$CONTIMG_PASSWORD_\w+)"', r"\1", text)


if __name__ == "__main__":
    sys.stdout.write(configuration(sys.argv[1] if sys.argv[1:] else "main") + "\n")
