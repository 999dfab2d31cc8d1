import argparse
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from contract.errors import OptionsError
from contract.options import (
    Options,
    add_flags,
    build,
    describe,
    given_environment,
    given_flags,
)


class Sample(Options):
    input_size: int = Field(28, ge=4, description="resolution, in pixels")
    rate: float = Field(0.1, ge=0, le=1, description="100 % of it")
    data: Path = Field(description="a folder")
    mode: Literal["a", "b"] = Field("a", description="a choice")
    keep: bool = Field(default=False, description="a switch")
    name: str | None = Field(None, description="a name")
    side: int = Field(64, ge=32, multiple_of=32, description="a side, in pixels")
    even: int = Field(2, multiple_of=2, description="a number")


def parse(*argv: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_flags(parser, Sample, "options")
    parser.format_help()
    return given_flags(parser.parse_args(argv), Sample)


def test_flags_win_over_later_layers_and_defaults() -> None:
    environment = given_environment(
        {"X_RATE": "0.5", "X_INPUT_SIZE": "7", "Y_RATE": "1", "X_OTHER": "1"}, "X_", Sample
    )
    file = {"input_size": 6, "data": "/f"}
    options = build(Sample, parse("--rate", "0.25", "--keep"), file, environment)
    assert (options.rate, options.input_size, options.data) == (0.25, 6, Path("/f"))
    assert options.keep is True
    assert build(Sample, parse("--keep", "false", "--data", "d")).keep is False


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"input_size": "3"}, "input_size: got '3', expected int in [4, inf)"),
        ({"input_size": "4.5"}, "input_size: got '4.5', expected int in [4, inf)"),
        (
            {"input_size": "9" * 5000},
            f"input_size: got '{'9' * 99}... (5002 characters), expected int in [4, inf)",
        ),
        ({"rate": 2}, "rate: got 2, expected float in [0, 1]"),
        ({"rate": "nan"}, "rate: got 'nan', expected float in [0, 1]"),
        ({"rate": "inf"}, "rate: got 'inf', expected float in [0, 1]"),
        ({"mode": "c"}, "mode: got 'c', expected a|b"),
        ({"keep": "perhaps"}, "keep: got 'perhaps', expected bool"),
        ({"inputsize": 3}, "inputsize: unknown option; did you mean input_size?"),
        ({"data": ""}, "data: got '', expected path"),
        ({"input_size": True}, "input_size: got True, expected int in [4, inf)"),
        ({"side": 100}, "side: got 100, expected int in [32, inf), a multiple of 32"),
        ({"even": 3}, "even: got 3, expected int in (-inf, inf), a multiple of 2"),
        ({"nme": 3}, "nme: unknown option; did you mean name?"),
        ({"a_mode": 3}, "a_mode: unknown option; did you mean mode?"),
        (
            {"foo": 3},
            "foo: unknown option; known are input_size, rate, data, mode, keep, name, side, even",
        ),
        (
            {"zzzz": 3},
            "zzzz: unknown option; known are input_size, rate, data, mode, keep, name, side, even",
        ),
    ],
)
def test_a_bad_value_names_the_field_the_value_and_the_range(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(OptionsError) as caught:
        build(Sample, {"data": "d", **values})
    assert caught.value.problems == (message,)
    assert caught.value.exit_code == 2


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(OptionsError) as caught:
        build(Sample, {"rate": 7, "input_size": 1})
    assert caught.value.problems == (
        "input_size: got 1, expected int in [4, inf)",
        "rate: got 7, expected float in [0, 1]",
        "data: required, but not given; expected path",
    )


def test_options_are_described_from_the_model_itself() -> None:
    row = describe(Sample)[0]
    assert (row.name, row.type, row.default, row.range) == ("input_size", "int", "28", "[4, inf)")
    assert [row.default for row in describe(Sample)] == [
        "28",
        "0.1",
        "",
        "a",
        "false",
        "",
        "64",
        "2",
    ]


class Either(Options):
    alternatives = frozenset({"left", "right"})
    left: str | None = Field(None, description="one")
    right: str | None = Field(None, description="the other")


def test_a_flag_wins_over_the_variable_of_its_alternative() -> None:
    options = build(Either, {"left": "flag"}, {"right": "variable", "left": "variable"})
    assert (options.left, options.right) == ("flag", None)
