from tests.flags import DOCUMENT, updated


def test_the_tables_of_flags_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert updated(text) == text, "run: make tables"
