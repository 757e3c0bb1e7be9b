from __future__ import annotations

from recordings import data, ngc5921, originals, recording, reference, subbands

__all__ = ["data", "ngc5921", "originals", "recording", "reference", "subbands"]
