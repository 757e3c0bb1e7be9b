"""Committed runs as the machinery leaves them: files, checksums, manifest, read-only."""

from __future__ import annotations

import hashlib
from pathlib import Path

from skies import manifest

from contimg.models.manifest import Product
from contimg.stage import Run
from contimg.volume.layout import Layout

__all__ = ["commit", "sha256_of"]


def sha256_of(path: Path) -> str:
    """The checksum of the manifest's definition, written here a second time."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = sorted(item for item in path.rglob("*") if item.is_file())
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(path).as_posix()}\n" for f in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def commit(layout: Layout, type_: str, task: str, stage: str, files: dict, *, names=True, **more) -> Run:
    """Commit a run; ``files`` maps role to (path, bytes) or to (path, {name: bytes}) for a directory."""
    base = layout.run(type_, task)
    products = []
    for role, (path, content) in files.items():
        target = base / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            for name, data in content.items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(data)
        else:
            target.write_bytes(content)
            target.chmod(0o444)
        size = target.stat().st_size if target.is_file() else sum(f.stat().st_size for f in target.rglob("*"))
        named = (f"2026-01-25/{path}",) if names else ()
        products.append(
            Product(
                type=type_, id=Path(path).stem, path=path, names=named, role=role, bytes=size, sha256=sha256_of(target)
            )
        )
    run = Run(base, manifest(task, stage, products, **more))
    (base / "manifest.json").write_text(run.manifest.model_dump_json())
    return run
