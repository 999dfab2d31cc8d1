"""The tables of all documents are whole: each row has the cells of its head."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
RULE = re.compile(r"\s*\|(\s*:?-+:?\s*\|)+\s*")


def cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_row_has_the_cells_of_its_head(document: Path) -> None:
    wanted = None
    for number, (line, following) in enumerate(
        pairwise([*document.read_text(encoding="utf-8").splitlines(), ""]), 1
    ):
        if RULE.fullmatch(following):
            wanted = cells(line)
        elif not line.lstrip().startswith("|"):
            wanted = None
        if wanted is not None:
            assert cells(line) == wanted, f"{document.name}:{number}: {line}"


def test_the_documents_have_tables() -> None:
    assert sum(document.read_text(encoding="utf-8").count("\n| ---") for document in DOCUMENTS) > 10
