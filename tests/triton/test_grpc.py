"""Every call of grpc_cases.py, answered by tritonserver and by ours."""

from collections.abc import Mapping
from dataclasses import replace

import grpc
import pytest

from tests.triton.call import call
from tests.triton.compare import Answer, same
from tests.triton.conftest import Pair
from tests.triton.difference import Difference, listed
from tests.triton.grpc_case import RpcCase
from tests.triton.grpc_cases import grpc_cases
from tests.triton.grpc_differences import GRPC_DIFFERENCES

CASES = grpc_cases()
WRONG = (Answer(0, {}, {"anything": 1}), Answer(2, {}, {"error": "it is unknown"}))
"""Answers that no case has."""

Answers = Mapping[str, tuple[Answer, Answer]]


@pytest.fixture(scope="module")
def answers(pair: Pair) -> Answers:
    """Triton's answer and ours to each case, by its name; sent in order, as some change state."""
    triton, ours = (f"127.0.0.1:{server.grpc_port}" for server in (pair.triton, pair.ours))
    with grpc.insecure_channel(triton) as theirs, grpc.insecure_channel(ours) as own:
        return {case.name: (call(theirs, case), call(own, case)) for case in CASES}


def explained_by(case: RpcCase, theirs: Answer, ours: Answer) -> list[Difference]:
    """The meant differences between two answers; fails if there is one that is not meant."""
    if theirs.status == ours.status and same(theirs.body, ours.body):
        return []
    found = [one for one in GRPC_DIFFERENCES if one.explains(case.name, theirs, ours)]
    assert found, f"{case.method} {case.requests}\nTriton: {theirs}\nours:   {ours}"
    return found


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_is_tritons(answers: Answers, case: RpcCase) -> None:
    explained_by(case, *answers[case.name])


def test_the_manual_lists_each_difference() -> None:
    assert listed("Over gRPC") == [(one.what, one.why) for one in GRPC_DIFFERENCES]


def test_each_difference_is_met(answers: Answers) -> None:
    met = {id(one) for case in CASES for one in explained_by(case, *answers[case.name])}
    unmet = [difference.what for difference in GRPC_DIFFERENCES if id(difference) not in met]
    assert not unmet


def test_no_difference_explains_a_third_answer(answers: Answers) -> None:
    for name, (theirs, ours) in answers.items():
        wrong = [*WRONG, replace(ours, body={"anything": 1})]
        explained = [(one, what) for one in wrong for what in GRPC_DIFFERENCES]
        assert not [what for one, what in explained if what.explains(name, theirs, one)], name
