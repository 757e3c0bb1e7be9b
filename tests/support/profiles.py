"""How many generated sequences a test tries: ``CONTIMG_HYPOTHESIS=soak`` for the long run, else ``ci``.

Importing this module registers the profiles and takes time limits off all other tests; a test takes
``settings(settings.get_profile(profiles.NAME))``.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

__all__ = ["NAME"]

_CALM = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile("calm", deadline=None)  # a time limit per example fails where a machine is busy
settings.load_profile("calm")
settings.register_profile(
    "ci",
    max_examples=200,
    stateful_step_count=15,
    deadline=None,
    database=None,
    derandomize=True,  # the same examples every time: what is new is looked for by the soak profile
    suppress_health_check=_CALM,
)
settings.register_profile("soak", settings.get_profile("ci"), max_examples=10_000, derandomize=False)

NAME = os.environ.get("CONTIMG_HYPOTHESIS", "ci")
"""Of the chosen profile."""
