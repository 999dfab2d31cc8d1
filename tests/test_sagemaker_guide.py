from tests.sagemaker_tables import GUIDE, updated


def test_the_tables_are_those_of_the_code() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert updated(text) == text, "run: make tables"
