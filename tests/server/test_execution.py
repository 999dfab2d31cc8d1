from collections.abc import Mapping

import numpy as np
import pytest

from server.execution import Row, Rows, joined, rows_of, run_pieces, run_whole


def echo(inputs: Row) -> Row:
    return inputs


def test_pieces_of_tensors_and_of_rows_make_one_batch_and_get_their_own_outputs() -> None:
    pieces: list[Mapping[str, Rows]] = [
        {"x": np.array([[1, 2], [3, 4]])},
        {"x": [np.array([5, 6])]},
        {"x": [np.array([7, 8]), np.array([9, 10])]},
    ]
    batches: list[np.ndarray] = []

    def run(inputs: Row) -> Row:
        batches.append(inputs["x"])
        return {"y": inputs["x"] * 10}

    ran = run_pieces(run, pieces)
    np.testing.assert_array_equal(batches, [[[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]])
    outputs = [part["y"].tolist() for part in ran.outputs]
    assert outputs == [[[10, 20], [30, 40]], [[50, 60]], [[70, 80], [90, 100]]]


def test_strings_of_several_requests_make_one_batch() -> None:
    pieces = [{"s": np.array([[b"a"], [b""]], object)}, {"s": np.array([[b"long one"]], object)}]
    ran = run_pieces(echo, pieces)
    assert [part["s"].tolist() for part in ran.outputs] == [[[b"a"], [b""]], [[b"long one"]]]


def test_numbers_at_odd_addresses_reach_the_run_at_even_ones() -> None:
    body = b"x" + np.array([[1.5], [2.5]], np.float32).tobytes()
    odd = np.frombuffer(body, np.float32, offset=1).reshape(2, 1)
    assert not odd.flags.aligned

    def run(inputs: Row) -> Row:
        assert inputs["x"].flags.aligned
        return inputs

    assert run_pieces(run, [{"x": odd}]).outputs[0]["x"].tolist() == [[1.5], [2.5]]
    assert run_whole(run, [{"x": odd}]).outputs[0]["x"].tolist() == [[1.5], [2.5]]


def test_a_request_alone_in_its_batch_is_not_copied() -> None:
    tensor = np.zeros((4, 2))
    assert np.shares_memory(run_pieces(echo, [{"x": tensor}]).outputs[0]["x"], tensor)


@pytest.mark.parametrize("output", [np.float32(1), np.zeros((3, 1)), np.zeros((1, 2))])
def test_an_output_of_other_rows_than_the_batch_is_an_error(output: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"output y: (no|3|1) rows for a batch of 2"):
        run_pieces(lambda _: {"y": np.asarray(output)}, [{"x": np.zeros((2, 1))}])


def test_the_stages_of_a_run_are_timed() -> None:
    ran = run_pieces(echo, [{"x": np.zeros((2, 1))}, {"x": np.zeros((1, 1))}])
    assert min(ran.stages.compute_input_ns, ran.stages.compute_infer_ns) > 0
    assert ran.stages.queue_ns == 0
    assert ran.start_ns > 0


def test_rows_and_joined_parts() -> None:
    parts = [{"y": np.array([[1], [2]])}, {"y": np.array([[3]])}]
    assert [row["y"].tolist() for row in rows_of(parts[0])] == [[1], [2]]
    assert joined(parts, "y").tolist() == [[1], [2], [3]]
    assert joined(parts[:1], "y") is parts[0]["y"]
