"""The library that every Contimg service imports: models, engine, stage base, keeper and adapters."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("contimg")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
