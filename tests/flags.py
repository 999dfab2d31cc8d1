"""The tables of docs/flags.md, written from the code's own models: make tables."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from contract.options import OptionRow, describe
from server.settings import ServerOptions
from tests.markers import between_markers
from trainer.cli import option_tables

DOCUMENT: Final = Path(__file__).parent.parent / "docs" / "flags.md"
HYPERPARAMETERS: Final = "hyperparameters"


def main() -> None:
    """Rewrite the tables in place."""
    DOCUMENT.write_text(updated(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


def updated(text: str) -> str:
    """The document's text with present tables."""
    parts = "\n".join(f"## {title}\n\n{table(rows)}" for title, rows in tables())
    return between_markers(text, "flags", parts)


def tables() -> Iterator[tuple[str, Sequence[OptionRow]]]:
    """Each table's title and options; what is the same for every task stands in the first one."""
    named = option_tables()
    of_tasks = [set(rows) for title, rows in named.items() if title.endswith(HYPERPARAMETERS)]
    shared = set.intersection(*of_tasks)
    for number, (title, rows) in enumerate(named.items()):
        if number == 0:
            yield "Hyperparameters of every task", [row for row in rows if row in shared]
        yield title, [row for row in rows if row not in shared]
    yield "aperture-serve", describe(ServerOptions)


def table(rows: Sequence[OptionRow]) -> str:
    """One table of flags."""
    lines = ["| flag | type | default | range | what it is |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        cells = [f"`--{row.name}`", row.type, row.default, row.range, row.description]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
