"""The examples of a document: blocks of code, each with the output that stands behind it.

A block of `sh` or `python` that a block of `json` or `text` follows is an example; `...` in the output
stands for anything.
"""

import itertools
import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_ANYTHING = "..."
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Example:
    """One example.

    Attributes:
        name: Its heading and its number below that.
        language: sh or python.
        code: What is run.
        output: What it must print.
    """

    name: str
    language: str
    code: str
    output: str

    def run(
        self, folder: Path, replaced: Mapping[str, str], python: str | Path = sys.executable
    ) -> str:
        """What it prints in that folder, with parts of its code replaced."""
        code = self.code
        for old, new in replaced.items():
            code = code.replace(old, new)
        program = ["bash", "-euc"] if self.language == "sh" else [str(python), "-c"]
        command = [*program, code]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, cwd=folder
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def examples_of(text: str) -> list[Example]:
    """The examples of a document, in their order."""
    headings = [(match.start(), match[1]) for match in _HEADING.finditer(text)]
    blocks = list(_BLOCK.finditer(text))
    found: list[Example] = []
    for block, after in itertools.pairwise(blocks):
        if block[1] not in ("sh", "python") or after[1] not in ("json", "text"):
            continue
        heading = [title for start, title in headings if start < block.start()][-1]
        number = 1 + sum(one.name.startswith(f"{heading} ") for one in found)
        found.append(Example(f"{heading} {number}", block[1], block[2], after[2]))
    return found


def code_without_output(text: str) -> list[str]:
    """Blocks of code that are no example."""
    code = [block[2] for block in _BLOCK.finditer(text) if block[1] in ("sh", "python")]
    return [one for one in code if one not in {example.code for example in examples_of(text)}]


def prints(got: str, expected: str) -> bool:
    """Whether an output is the expected one: as JSON if it is that, else line by line."""
    try:
        return _same(json.loads(got), json.loads(expected))
    except ValueError:
        pattern = ".*".join(re.escape(part) for part in expected.strip().split(_ANYTHING))
        return re.fullmatch(pattern, got.strip(), re.DOTALL) is not None


def _same(got: Any, expected: Any) -> bool:
    if expected == _ANYTHING:
        return True
    if isinstance(expected, dict):
        if not isinstance(got, dict) or (
            got.keys() - expected.keys() and _ANYTHING not in expected
        ):
            return False
        named = {key: value for key, value in expected.items() if key != _ANYTHING}
        return all(key in got and _same(got[key], value) for key, value in named.items())
    if isinstance(expected, list):
        return isinstance(got, list) and _same_items(got, expected)
    if isinstance(expected, float):
        return isinstance(got, float) and math.isclose(got, expected, abs_tol=_TOLERANCE)
    return type(got) is type(expected) and bool(got == expected)


def _same_items(got: list[Any], expected: list[Any]) -> bool:
    if expected[-1:] == [_ANYTHING]:
        expected = expected[:-1]
        got = got[: len(expected)]
    return len(got) == len(expected) and all(map(_same, got, expected))
