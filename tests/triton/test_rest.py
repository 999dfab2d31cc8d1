"""Every REST request of rest_cases.py, answered by tritonserver and by ours."""

from collections.abc import Mapping

import pytest

from tests.triton.compare import Answer, ask, same
from tests.triton.conftest import Pair
from tests.triton.differences import DIFFERENCES, Difference, listed
from tests.triton.rest_case import Case, request, tensor
from tests.triton.rest_cases import rest_cases

CASES = rest_cases()
Answers = Mapping[str, tuple[Answer, Answer]]


@pytest.fixture(scope="module")
def answers(pair: Pair) -> Answers:
    """Triton's answer and ours to each case, by its name; sent in order, as some change state."""
    with pair.triton.client() as triton, pair.ours.client() as ours:
        return {case.name: (ask(triton, case), ask(ours, case)) for case in CASES}


def explained_by(case: Case, theirs: Answer, ours: Answer) -> list[Difference]:
    """The meant differences between two answers; fails if there is one that is not meant."""
    if (
        theirs.status == ours.status
        and same(theirs.body, ours.body)
        and theirs.headers == ours.headers
    ):
        return []
    found = [difference for difference in DIFFERENCES if difference.holds(case.name, theirs, ours)]
    assert found, f"{case.verb} {case.path} {case.body!r}\nTriton: {theirs}\nours:   {ours}"
    return found


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_is_tritons(answers: Answers, case: Case) -> None:
    explained_by(case, *answers[case.name])


def test_the_manual_lists_each_difference() -> None:
    assert listed("Over REST") == [(one.what, one.why) for one in DIFFERENCES]


def test_each_difference_is_met(answers: Answers) -> None:
    met = {id(one) for case in CASES for one in explained_by(case, *answers[case.name])}
    unmet = [difference.what for difference in DIFFERENCES if id(difference) not in met]
    assert not unmet


def test_classes_of_strings_are_refused(pair: Pair) -> None:
    """They end tritonserver, so ours alone is asked, in the words that Triton has for BOOL."""
    asked = [{"name": "text_OUT", "parameters": {"classification": 1}}]
    body = request(tensor("text", "BYTES", [1, 2], ["a", "b"]), outputs=asked)
    with pair.ours.client() as client:
        answer = ask(client, Case("classes of strings", "/v2/models/strings/infer", body))
    assert answer.status == 400
    assert answer.error == "class result not available for output due to unsupported type 'BYTES'"
