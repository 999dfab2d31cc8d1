"""`aperture-train` is told to end while it is still being imported."""

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

STOPPED = 143
TOLD_IN_ITS_IMPORTS = """
import os, signal, sys

class Told:
    def find_spec(self, name, path, target=None):
        if name == "trainer.cli":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Told())
from {module} import {attr}
{attr}()
"""


def test_sigterm_before_anything_is_imported_ends_the_command_as_later() -> None:
    """Where there is no handler yet, a container's first process is not ended at all."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    entry = EntryPoint("aperture-train", project["scripts"]["aperture-train"], "console_scripts")
    code = TOLD_IN_ITS_IMPORTS.format(module=entry.module, attr=entry.attr)
    done = subprocess.run([sys.executable, "-c", code, "train"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (STOPPED, b""), done.stderr
