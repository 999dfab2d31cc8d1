from tests.readme import README, updated


def test_the_tables_of_flags_are_those_of_the_code() -> None:
    text = README.read_text(encoding="utf-8")
    assert updated(text) == text, "run: make readme"
