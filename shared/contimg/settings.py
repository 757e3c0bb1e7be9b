"""What a process is told by its environment: closed, typed, documented. A misspelt ``CONTIMG_*`` is refused.

Directories are the business of :mod:`contimg.volume.layout`; everything else that a service can be told stands here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError

from contimg.errors import BadConfig
from contimg.limits import ProtocolLimits
from contimg.models.base import Model
from contimg.models.spec import nearest
from contimg.volume.layout import variables as directories

__all__ = ["PREFIX", "Settings", "Variable", "limits_of", "variables"]

PREFIX = "CONTIMG_"
_LIMIT = "CONTIMG_LIMIT_"
_FOREIGN = {"CONTIMG_CRASH", "CONTIMG_HYPOTHESIS"}
"""Read by tests alone: where to die (contimg.crash) and how long to search."""

Variable = tuple[str, str, str]
"""Name, default and meaning."""


class Settings(Model):
    """The settings of one process; each field is the variable ``CONTIMG_<FIELD>``."""

    nats_url: str = ""
    """Address of the message server, e.g. ``nats://nats:4222`` or ``tls://nats:4222``."""
    nats_user: str = ""
    """User of this service; also the prefix of its inboxes."""
    nats_password: SecretStr = SecretStr("")
    """Password of that user."""
    nats_ca: str = ""
    """File with the certificates that are trusted for the message server; empty: the system's."""
    shard: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")] = "main"
    """Name of the staging volume this process works for."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of ``/metrics``, ``/healthz`` and ``/readyz``; 0: they are not served."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity of the log lines."""
    scan_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Pause of ingest between two looks at the incoming directories [s]."""
    memory_bytes: Annotated[int, Field(ge=0)] = 0
    """Memory that the child of a stage may use; 0: what the control group and the machine allow."""
    jobs: Annotated[int, Field(ge=1, le=64)] = 1
    """Tasks that a worker has in hand at a time, each with a child of its own."""
    s3_url: str = ""
    """Object store, ``http(s)://host:port/bucket``; empty: products are published on disk alone."""
    s3_access_key: str = ""
    """Key of the publisher."""
    s3_secret_key: SecretStr = SecretStr("")
    """Secret of that key."""
    s3_region: str = "us-east-1"
    """Region that requests to the object store are signed for."""
    s3_ca: str = ""
    """File with the certificates that are trusted for the object store; empty: the system's."""
    namespace: Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$")] = ""
    """Namespace that the operator watches; empty: the one of its pod."""
    image: str = ""
    """Digest of the container image, noted in manifests."""
    time_scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor for every time of the protocol; below 1 in tests of clusters only."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read all variables; empty ones count as unset.

        Raises
        ------
        BadConfig
            If a ``CONTIMG_*`` variable is unknown (the nearest is offered) or has a wrong value.
        """
        env = os.environ if environment is None else environment
        known = {name for name, _, _ in variables()} | _FOREIGN
        for name in sorted(env):
            if name.startswith(PREFIX) and name not in known:
                raise BadConfig(f"environment variable {name} is unknown{nearest(name, known)}; correct or unset it")
        given = {name: env[PREFIX + name.upper()] for name in cls.model_fields if env.get(PREFIX + name.upper())}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise _refused(error, given) from None


def _refused(error: ValidationError, given: Mapping[str, Any]) -> BadConfig:
    first = error.errors()[0]
    field = str(first["loc"][0])
    value = "" if isinstance(Settings.model_fields[field].default, SecretStr) else f" = {given[field]!r}"
    return BadConfig(f"environment variable {PREFIX}{field.upper()}{value}: {first['msg']}")


def limits_of(settings: Settings, environment: Mapping[str, str] | None = None) -> ProtocolLimits:
    """Return the limits of the protocol: the defaults, times scaled, single ones as ``CONTIMG_LIMIT_<NAME>`` says.

    Raises
    ------
    BadConfig
        If a value is no number of the right kind or not positive.
    """
    env = os.environ if environment is None else environment
    limits = ProtocolLimits().scaled(settings.time_scale)
    given = {item.name: env.get(_LIMIT + item.name.upper(), "") for item in fields(limits)}
    chosen: dict[str, Any] = {n: _number(n, text, getattr(limits, n)) for n, text in given.items() if text}
    return replace(limits, **chosen)


def _number(name: str, text: str, default: float) -> float:
    try:
        value = type(default)(text)
    except ValueError:
        value = type(default)(0)
    if not 0 < value < float("inf"):
        kind = "whole number" if isinstance(default, int) else "number"
        raise BadConfig(
            f"environment variable {_LIMIT}{name.upper()} = {text!r}: give a positive {kind}, e.g. {default:g}"
        )
    return value


def variables() -> list[Variable]:
    """Return every environment variable that is understood, for documents and for the check of the spelling."""
    return [*_settings(), *directories(), *_limits()]


def _settings() -> Iterator[Variable]:
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        yield PREFIX + name.upper(), str(default), field.description or ""


def _limits() -> Iterator[Variable]:
    for item in fields(ProtocolLimits):
        yield _LIMIT + item.name.upper(), f"{item.default:g}", f"Protocol limit ``{item.name}`` (contimg.limits)."
