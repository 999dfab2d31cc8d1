"""Clients that others wrote, each a program that prints its answer as JSON."""

import json
import subprocess
import sys
from typing import Any


def run_client(module: str, *arguments: str, timeout_s: float = 60) -> Any:
    """What one of this folder's programs prints, run in a process of its own."""
    command = [sys.executable, "-m", f"tests.clients.{module}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
