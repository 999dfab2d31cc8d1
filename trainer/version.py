"""The version of the installed package, which every published model carries."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

DISTRIBUTION: Final = "aperture-vision"


def trainer_version() -> str:
    """The installed distribution's version, or `unknown` when the sources run uninstalled."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"
