"""What the images weigh: ``python tests/support/image_sizes.py DIRECTORY``, an OCI layout.

Prints a table of the layers and of what each service adds, and fails when a layer is larger than it may be.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layers import CASA, CORE, LAYERS, SCIENCE

__all__ = ["MOST_MB", "Image", "read", "sizes", "table"]

MOST_MB = {CORE: 250, SCIENCE: 1000, CASA: 750}
"""What a layer may add to the one below it, unpacked [MB]."""


@dataclass(frozen=True)
class Image:
    """The layers of an image from the base up: their digests and unpacked sizes [bytes]."""

    name: str
    digests: tuple[str, ...]
    sizes: tuple[int, ...]


def _unpacked(layout: Path, layer: dict[str, Any]) -> int:
    """Return the size of a layer's archive [bytes]; a gzip file ends with it (modulo 4 GiB, more than any layer)."""
    if not layer["mediaType"].endswith("gzip"):
        return int(layer["size"])
    with (layout / "blobs" / layer["digest"].replace(":", "/")).open("rb") as blob:
        blob.seek(-4, 2)
        return int.from_bytes(blob.read(), "little")


def read(layout: Path) -> list[Image]:
    """Return Contimg's images in a layout."""
    found = []
    for entry in json.loads((layout / "index.json").read_text())["manifests"]:
        name = entry.get("annotations", {}).get("org.opencontainers.image.ref.name", "")
        manifest = json.loads((layout / "blobs" / entry["digest"].replace(":", "/")).read_text())
        layers = manifest["layers"]
        short = name.rpartition("/")[2].partition(":")[0].removeprefix("contimg-")
        digests = tuple(each["digest"] for each in layers)
        found.append(Image(short, digests, tuple(_unpacked(layout, each) for each in layers)))
    return found


def sizes(images: list[Image]) -> dict[str, float]:
    """Return what each layer adds [MB]: the base's layers, then core, science, CASA, then the source of Contimg.

    Raises
    ------
    ValueError
        If services of one layer stand on different ones, so that a node would hold it twice.
    """
    known = {image.name: image for image in images}
    found: dict[str, float] = {}
    below: tuple[str, ...] = ()
    for layer, services in LAYERS.items():
        built = [known[service] for service in services if service in known]
        if len({image.digests[:-1] for image in built}) != 1 or built[0].digests[: len(below)] != below:
            raise ValueError(f"the services of layer {layer} do not stand on one layer; build all of them anew")
        image = built[0]
        if not below:
            below = image.digests[:-2]
            found["base"] = sum(image.sizes[:-2]) / 1e6
        found[layer] = sum(image.sizes[len(below) : -1]) / 1e6
        found["source"] = image.sizes[-1] / 1e6
        below = image.digests[:-1]
    return found | {name: sum(known[name].sizes) / 1e6 for name in ("nats", "minio") if name in known}


def table(found: dict[str, float]) -> str:
    """Return the sizes as a table with the limits."""
    lines = [f"{'layer':<8} {'MB':>6} {'most':>5}"]
    return "\n".join(lines + [f"{name:<8} {size:6.0f} {MOST_MB.get(name, '–'):>5}" for name, size in found.items()])


if __name__ == "__main__":
    measured = sizes(read(Path(sys.argv[1])))
    print(table(measured))
    too_large = [name for name, most in MOST_MB.items() if measured[name] > most]
    sys.exit(f"too large: {', '.join(too_large)}" if too_large else 0)
