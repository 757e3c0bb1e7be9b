"""Boards and alerts of the chart as code: ``python -m boards`` writes what ``charts/contimg/files`` holds of them."""
