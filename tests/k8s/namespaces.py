"""Processes in namespaces of their own, where the machine lets them have some."""

import os
import subprocess
from typing import Final

import pytest

_UNSHARE: Final = ("unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")))


def unshare(*kinds: str) -> tuple[str, ...]:
    """The words before a command that runs in new namespaces of these kinds, such as --net."""
    return (*_UNSHARE, *kinds, "--")


def needs(words: tuple[str, ...]) -> pytest.MarkDecorator:
    """Skips where no command runs behind these words."""
    try:
        here = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        here = False
    return pytest.mark.skipif(
        not here, reason="this machine lets no process have namespaces of its own"
    )
