"""What the extras of pyproject.toml install, for the layer of dependencies of both Dockerfiles.

Its input is pyproject.toml, its output a list of requirements that changes with them alone: a new
version of the project, or a setting of its tools, leaves the layer as it is. It has the standard
library alone, since it runs before anything is installed.
"""

import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def main() -> None:
    """python3 requirements.py PYPROJECT EXTRA...: a requirement a line, sorted."""
    pyproject, *extras = sys.argv[1:]
    project = tomllib.loads(Path(pyproject).read_text(encoding="utf-8"))["project"]
    try:
        print(*requirements(project, extras), sep="\n")
    except KeyError as err:
        known = ", ".join(project["optional-dependencies"])
        sys.exit(f"requirements: {pyproject} has no extra {err}, but {known}")


def requirements(project: dict[str, Any], extras: Sequence[str]) -> list[str]:
    """The requirements of a project and some of its extras, those that these name included.

    Raises:
        KeyError: It has no such extra.
    """
    return sorted({*project["dependencies"], *_of_extras(project, extras)})


def _of_extras(project: dict[str, Any], extras: Sequence[str]) -> Iterator[str]:
    own = f"{project['name']}["
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            if requirement.startswith(own):
                named = requirement.removeprefix(own).rstrip("]").split(",")
                yield from _of_extras(project, named)
            else:
                yield requirement


if __name__ == "__main__":
    main()
