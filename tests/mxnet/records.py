"""MXNet's own writer of .rec files, in a process of its own."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

ENVIRONMENT = Path(__file__).parents[2] / ".venv-mxnet"
PYTHON = ENVIRONMENT / "bin" / "python"

Label = float | Sequence[float]


def write_records(target: Path, pictures: Iterable[tuple[Path, Label]]) -> Path:
    """Pack pictures and their labels into a file."""
    entries = [{"label": label, "file": str(path)} for path, label in pictures]
    target.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(PYTHON), str(Path(__file__).with_name("write_records.py")), str(target)],
        input=json.dumps(entries),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target
