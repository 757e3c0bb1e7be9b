"""The ``contimg`` command: one module per noun."""
