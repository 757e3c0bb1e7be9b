"""What the operator may do: the rules of its namespaced Role, no verb more than the code uses (a test compares)."""

from __future__ import annotations

from typing import Final

from contimg.models.resource import API_VERSION

__all__ = ["RULES"]

_GROUP = API_VERSION.partition("/")[0]
RULES: Final[list[dict[str, list[str]]]] = [
    {
        "apiGroups": [_GROUP],
        "resources": ["observationgroups", "pipelines"],
        "verbs": ["create", "get", "list", "watch"],
    },
    {"apiGroups": [_GROUP], "resources": ["surveys"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [_GROUP], "resources": ["observationgroups/status", "surveys/status"], "verbs": ["update"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
]
"""As they stand in a Role; nothing is ever deleted, and definitions are the installer's business."""
