"""Text becomes values as SageMaker's containers read it."""

import pytest

from trainer.sagemaker.values import read_automatic, read_epochs, read_truth, unquoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sgd", "sgd"),
        ('"sgd"', "sgd"),  # as the SDK's framework estimators write it
        ('"3,224,224"', "3,224,224"),
        ('"', '"'),
        ('"a" and "b"', '"a" and "b"'),
        ("", ""),
    ],
)
def test_quotes_of_json_are_taken_off(text: str, expected: str) -> None:
    assert unquoted(text) == expected


@pytest.mark.parametrize("text", ["True", "true", "TRUE", "1", " True "])
def test_true_in_any_spelling(text: str) -> None:
    assert read_truth(text) is True


@pytest.mark.parametrize("text", ["False", "false", "0"])
def test_false_in_any_spelling(text: str) -> None:
    assert read_truth(text) is False


@pytest.mark.parametrize("text", ["yes", "2", "", "None"])
def test_no_truth_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"got '{text}', expected True or False"):
        read_truth(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Auto", "Auto"), ("auto", "Auto"), ("TRUE", "True"), (" false", "False"), ("aUt0", "aUt0")],
)
def test_automatic_or_a_truth_in_any_case_of_letters(text: str, expected: str) -> None:
    assert read_automatic(text) == expected


@pytest.mark.parametrize(
    ("text", "epochs"), [("10, 20", (10, 20)), ("10,20", (10, 20)), ("5", (5,))]
)
def test_epochs_stand_between_commas(text: str, epochs: tuple[int, ...]) -> None:
    assert read_epochs(text) == epochs


@pytest.mark.parametrize("text", ["", "0", "20, 10", "10, 10", "1.5", "10 20", "ten", "-1, 2"])
def test_no_rising_epochs_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected rising numbers of epochs"):
        read_epochs(text)
