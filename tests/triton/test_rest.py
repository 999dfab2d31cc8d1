"""Every REST request of rest_cases.py, answered by tritonserver and by ours."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.triton.compare import Answer, ask, same
from tests.triton.conftest import Pair
from tests.triton.difference import Difference, listed
from tests.triton.differences import DIFFERENCES
from tests.triton.header_differences import HEADER_DIFFERENCES
from tests.triton.rest_case import Case, request, tensor
from tests.triton.rest_cases import rest_cases

CASES = rest_cases()
ALL = (*DIFFERENCES, *HEADER_DIFFERENCES)
WRONG = (
    Answer(200, {"content-type": "text/html"}, {"anything": 1}),
    Answer(418, {}, {"error": "I'm a teapot"}),
    Answer(503, {"content-encoding": "br"}, "not JSON"),
)
"""Answers that no case has."""

Answers = Mapping[str, tuple[Answer, Answer]]


@pytest.fixture(scope="module")
def answers(pair: Pair) -> Answers:
    """Triton's answer and ours to each case, by its name; sent in order, as some change state."""
    with pair.triton.client() as triton, pair.ours.client() as ours:
        return {case.name: (ask(triton, case), ask(ours, case)) for case in CASES}


def explained_by(case: Case, theirs: Answer, ours: Answer) -> list[Difference]:
    """The meant differences between two answers; fails if there is one that is not meant."""
    found: list[Difference] = []
    for equal, differences in (
        (theirs.status == ours.status and same(theirs.body, ours.body), DIFFERENCES),
        (theirs.headers == ours.headers, HEADER_DIFFERENCES),
    ):
        fitting = [one for one in differences if one.explains(case.name, theirs, ours)]
        said = f"{case.verb} {case.path} {case.body!r}\nTriton: {theirs}\nours:   {ours}"
        assert equal or fitting, said
        found += [] if equal else fitting
    return found


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_is_tritons(answers: Answers, case: Case) -> None:
    explained_by(case, *answers[case.name])


def test_the_manual_lists_each_difference() -> None:
    assert listed("Over REST") == [(one.what, one.why) for one in ALL]


def test_each_difference_is_met(answers: Answers) -> None:
    met = {id(one) for case in CASES for one in explained_by(case, *answers[case.name])}
    assert not [difference.what for difference in ALL if id(difference) not in met]


def test_no_difference_explains_a_third_answer(answers: Answers) -> None:
    for name, (theirs, ours) in answers.items():
        other_body = replace(ours, body={"anything": 1})
        for wrong, differences in ((WRONG, ALL), ([other_body], DIFFERENCES)):
            explained = [(one, what) for one in wrong for what in differences]
            assert not [what for one, what in explained if what.explains(name, theirs, one)], name


def test_classes_of_strings_are_refused(pair: Pair) -> None:
    """They end tritonserver, so ours alone is asked, in the words that Triton has for BOOL."""
    asked = [{"name": "text_OUT", "parameters": {"classification": 1}}]
    body = request(tensor("text", "BYTES", [1, 2], ["a", "b"]), outputs=asked)
    with pair.ours.client() as client:
        answer = ask(client, Case("classes of strings", "/v2/models/strings/infer", body))
    assert answer.status == 400
    assert answer.error == "class result not available for output due to unsupported type 'BYTES'"
