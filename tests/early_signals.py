"""A command that is signalled in the middle of its imports, as pyproject.toml names its entry point."""

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

_TOLD_IN_ITS_IMPORTS = """
import os, sys

class Told:
    def find_spec(self, name, path, target=None):
        if name == {early!r}:
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Told())
from {module} import {attr}
{attr}()
"""


def told_early(
    script: str, early: str, number: int, *arguments: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run a script of the project, which gets the signal as the module `early` is looked for."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    entry = EntryPoint(script, project["scripts"][script], "console_scripts")
    code = _TOLD_IN_ITS_IMPORTS.format(
        early=early, number=int(number), module=entry.module, attr=entry.attr
    )
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=60)
