"""The tables of flags in the README, written from the code's own models: make readme."""

from collections.abc import Sequence
from pathlib import Path

from contract.options import OptionRow, describe
from server.settings import ServerOptions
from trainer.cli import option_tables

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- flags: written by `make readme` -->"
END = "<!-- end of flags -->"


def main() -> None:
    """Rewrite the tables in place."""
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")


def updated(text: str) -> str:
    """The README's text with present tables."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def tables() -> str:
    """Every command's flags as Markdown."""
    parts = [*option_tables().items(), ("aperture-serve", describe(ServerOptions))]
    return "\n".join(f"**{title}**\n\n{table(rows)}" for title, rows in parts)


def table(rows: Sequence[OptionRow]) -> str:
    """One table of flags."""
    lines = ["| flag | type | default | range | what it is |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        cells = [f"`--{row.name}`", row.type, row.default, row.range, row.description]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
