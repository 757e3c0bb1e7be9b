"""The layers that images are made of, as they lie in the cache of ``./run images``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cluster.release import ROOT


def test_layers_are_not_too_large() -> None:
    images = Path(os.environ["CLUSTER_DATA"]).parent / "images" / "oci"
    argv = [sys.executable, ROOT / "tests" / "support" / "image_sizes.py", images]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    print(f"\n{done.stdout}")
    assert done.returncode == 0, done.stderr
