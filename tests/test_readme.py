"""The README's map and links are of what is there, as are the links of the other documents."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("model_repository/*.md")]
PACKAGES = [
    path.parent.name for path in (*ROOT.glob("*/__init__.py"), *ROOT.glob("[st]*r/*/__init__.py"))
]
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """What GitHub calls the document's headings."""
    titles = HEADING.findall(document.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_link_leads_to_something(document: Path) -> None:
    for link in LINK.findall(document.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_map_has_each_package_and_program() -> None:
    text = README.read_text(encoding="utf-8").partition("## How to find your way")[2]
    programs = [path.name for path in ROOT.glob("*.py")]
    for name in (*(f"{package}/" for package in PACKAGES), *programs):
        assert re.search(rf"^ +{name} |; {name} ", text, re.MULTILINE), name


def test_each_document_is_linked_from_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    for document in ROOT.glob("docs/*.md"):
        assert f"(docs/{document.name}" in text, document.name
