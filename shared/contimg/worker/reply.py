"""Reading the answer of a child: what it made, or why it failed."""

from __future__ import annotations

from typing import Any

from contimg.errors import by_name
from contimg.models.manifest import InputRef
from contimg.models.quality import Figure
from contimg.stage import ProductDraft, StageResult
from contimg.volume.commit import Made

__all__ = ["Unforeseen", "read_reply"]


class Unforeseen(Exception):
    """The stage raised something that is no error of ours, or its process crashed."""


def read_reply(answer: dict[str, Any]) -> Made:
    """Return what a child made.

    Raises
    ------
    ContimgError
        What the stage raised, by its class.
    Unforeseen
        If it raised something else.
    """
    if "error" in answer:
        if not answer["foreseen"]:
            raise Unforeseen(answer["message"])
        raise by_name(answer["error"])(answer["message"])
    result = answer["result"]
    return Made(
        StageResult(
            products=tuple(ProductDraft(**draft | {"names": tuple(draft["names"])}) for draft in result["products"]),
            figures=tuple(Figure.model_validate(figure) for figure in result["figures"]),
            info=result["info"],
            date=result["date"],
        ),
        inputs=tuple(InputRef.model_validate(item) for item in answer["inputs"]),
        raw=tuple(answer["raw"]),
        software=answer["software"],
    )
