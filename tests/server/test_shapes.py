import math

import pytest

from server.errors import RequestError
from server.shapes import MOST_AXES, MOST_OF_EMPTY, check_shape


@pytest.mark.parametrize(
    "shape",
    [(), (0,), (0, 512, 512, 3), (1 << 40,), (MOST_OF_EMPTY, 0), (0,) * MOST_AXES, (2**63, 2**63)],
)
def test_shapes_that_can_be_are_taken(shape: tuple[int, ...]) -> None:
    assert check_shape("x", list(shape)) == shape


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ([1] * (MOST_AXES + 1), "shape has 65 axes; expected 64 at most"),
        ([-1], r"shape \[-1\]; expected a list of sizes >= 0"),
        ([True], "expected a list of sizes"),
        (["a" * 10_000], "expected a list of sizes"),
        ([2**40, 0], r"shape \[1099511627776, 0\] holds nothing, and its other axes are over"),
        ([0, 2**13, 2**14], "holds nothing"),
        ([2**62, 0, 2**62], "holds nothing"),
    ],
)
def test_others_are_refused_in_a_line(shape: list[object], text: str) -> None:
    with pytest.raises(RequestError, match=text) as caught:
        check_shape("x", shape)
    assert len(str(caught.value)) < 400


def test_a_shape_of_millions_of_axes_is_not_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their product would have millions of digits."""
    monkeypatch.setattr(math, "prod", pytest.fail)
    with pytest.raises(RequestError, match="2000000 axes"):
        check_shape("x", [2**62] * 2_000_000)
