import numpy as np
import pytest

from contract.model_config import ModelConfig, TensorSpec, make_model_config
from server.bytes_elements import MOST_STRING_BYTES
from server.errors import LONGEST_TEXT, RequestError, TooMany
from server.input_check import MOST_ASKED, MOST_ROWS, check_asked, check_count, check_inputs
from server.tensors import InferRequest, RequestedOutput, Tensor


def config(max_batch_size: int = 4) -> ModelConfig:
    inputs = (TensorSpec("A", "FP32", (2, -1)), TensorSpec("B", "INT32", (1,)))
    return make_model_config("m", max_batch_size, inputs, (TensorSpec("C", "FP32", (1,)),), {})


def tensor(name: str, *shape: int, datatype: str = "FP32") -> Tensor:
    return Tensor(name, datatype, shape, np.zeros(shape, np.float32))


A, B = tensor("A", 3, 2, 5), tensor("B", 3, 1, datatype="INT32")


@pytest.mark.parametrize("count", [1, 3, 9])  # a request may be larger than a batch
def test_a_request_of_the_models_tensors_passes(count: int) -> None:
    inputs = (tensor("A", count, 2, 5), tensor("B", count, 1, datatype="INT32"))
    check_inputs(InferRequest("", inputs, (RequestedOutput("C"),)), config(), pictures=False)


def test_without_a_batch_axis_shapes_are_the_dims() -> None:
    inputs = (tensor("A", 2, 5), tensor("B", 1, datatype="INT32"))
    check_inputs(InferRequest("", inputs), config(0), pictures=False)
    with pytest.raises(RequestError, match=r"Expected \[2,-1\], got \[3,2,5\]\. $"):
        check_inputs(InferRequest("", (A, B)), config(0), pictures=False)


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ((), "expected 2 inputs but got 0 inputs for model 'm'. Got input(s) [], but missing "
             "required input(s) ['A','B']. Please provide all required input(s)."),
        ((A,), "Got input(s) ['A'], but missing required input(s) ['B']"),
        ((A, A), "input 'A' already exists in request"),
        ((A, tensor("X", 3, 1)), "unexpected inference input 'X' for model 'm'"),
        ((tensor("A", 2, 2, 5), B), "input 'B' batch size does not match other inputs for 'm'"),
        ((tensor("A"), B), "input 'A' has no shape but model requires batch dimension for 'm'"),
        ((tensor("A", 0, 2, 5), tensor("B", 0, 1)), "batch-size must be >= 1 for 'm'"),
        ((A, tensor("B", 3, 1)), "inference input 'B' data-type is 'FP32', but model 'm' expects "
                                 "'INT32'"),
        ((tensor("A", 3, 4, 5), B), "unexpected shape for input 'A' for model 'm'. Expected "
                                    "[-1,2,-1], got [3,4,5]. NOTE: Setting"),
        ((tensor("A", 3, 2), B), "Expected [-1,2,-1], got [3,2]. NOTE: Setting"),
    ],
)  # fmt: skip
def test_other_tensors_are_refused_in_tritons_words(inputs: tuple[Tensor, ...], text: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_inputs(InferRequest("", inputs), config(), pictures=False)
    assert text in str(caught.value)


def optional_config() -> ModelConfig:
    inputs = (
        TensorSpec("A", "FP32", (2,)),
        TensorSpec("B", "FP32", (2,), optional=True),
        TensorSpec("C", "FP32", (2,), optional=True),
    )
    text = make_model_config("m", 4, inputs, (TensorSpec("D", "FP32", (1,)),), {})
    assert [spec.optional for spec in text.inputs] == [False, True, True]
    return text


@pytest.mark.parametrize("names", ["A", "AB", "CA", "ABC"])
def test_optional_inputs_may_be_left_out(names: str) -> None:
    inputs = tuple(tensor(name, 3, 2) for name in names)
    check_inputs(InferRequest("", inputs), optional_config(), pictures=False)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("", "expected number of inputs between 1 and 3 but got 0 inputs for model 'm'. Got "
             "input(s) [], but missing required input(s) ['A']. Please provide"),
        ("ABCX", "expected number of inputs between 1 and 3 but got 4 inputs for model 'm'"),
        ("BC", "Got input(s) ['B','C'], but missing required input(s) ['A']"),
        ("AX", "unexpected inference input 'X' for model 'm'"),
    ],
)  # fmt: skip
def test_needed_inputs_may_not(names: str, text: str) -> None:
    inputs = tuple(tensor(name, 3, 2) for name in names)
    with pytest.raises(RequestError) as caught:
        check_inputs(InferRequest("", inputs), optional_config(), pictures=False)
    assert text in str(caught.value)


def test_where_all_are_optional_one_must_tell_the_batch_size() -> None:
    inputs = (TensorSpec("A", "FP32", (2,), optional=True),)
    for size in (0, 4):
        config = make_model_config("m", size, inputs, (TensorSpec("D", "FP32", (1,)),), {})
        request = InferRequest("", ())
        if size == 0:
            check_inputs(request, config, pictures=False)
            continue
        with pytest.raises(RequestError, match="batch-size must be >= 1 for 'm'; got no input"):
            check_inputs(request, config, pictures=False)


def test_the_request_is_named_by_its_id() -> None:
    for request_id, named in (("r7", "r7"), ("", "<id_unknown>")):
        with pytest.raises(RequestError) as caught:
            check_inputs(InferRequest(request_id, ()), config(), pictures=False)
        assert str(caught.value).startswith(f"[request id: {named}] expected 2 inputs")


def test_an_unknown_output_is_refused() -> None:
    request = InferRequest("", (A, B), (RequestedOutput("C"), RequestedOutput("D")))
    with pytest.raises(RequestError, match="unexpected inference output 'D' for model 'm'"):
        check_inputs(request, config(), pictures=False)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_picture_files_stand_for_the_first_input(shape: tuple[int, ...]) -> None:
    files = Tensor("A", "BYTES", shape, elements=(b"1", b"2"))
    check_inputs(InferRequest("", (files,)), config(), pictures=True)
    with pytest.raises(RequestError, match="expected 2 inputs but got 1"):
        check_inputs(InferRequest("", (files,)), config(), pictures=False)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (Tensor("X", "BYTES", (1,), elements=(b"1",)), "unexpected inference input 'X'"),
        (Tensor("A", "BYTES", (1, 2), elements=(b"1", b"2")), r"got \[1,2\]"),
        (Tensor("A", "BYTES", (0,)), r"N > 0, got \[0\]"),
    ],
)
def test_other_picture_files_are_refused(files: Tensor, text: str) -> None:
    with pytest.raises(RequestError, match=text):
        check_inputs(InferRequest("", (files,)), config(), pictures=True)


class Counting(str):
    """A name that counts how often it is compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counting.compared += 1
        return str.__eq__(self, other)


@pytest.mark.parametrize("last", ["other", "0"])
def test_many_names_are_not_compared_with_each_other(last: str) -> None:
    names = [Counting(index) for index in range(5000)] + [Counting(last)]
    Counting.compared = 0
    text = "got 5001 inputs" if last == "other" else "input '0' already exists in request"
    with pytest.raises(RequestError, match=text):
        check_count(names, config(), "")
    inputs = tuple(Tensor(name, "FP32", (3, 2, 5)) for name in names)
    with pytest.raises(RequestError, match=text):
        check_inputs(InferRequest("", inputs), config(), pictures=False)
    assert Counting.compared < 10 * len(names)


def test_no_error_repeats_all_that_a_client_named() -> None:
    with pytest.raises(RequestError) as caught:
        check_count([f"n{index}" for index in range(5000)], config(), "")
    assert "Got input(s) ['n0','n1'," in str(caught.value)
    assert ",'n15',...], but missing" in str(caught.value)
    with pytest.raises(RequestError) as caught:
        check_count(["A", "x" * 100_000, "B"], config(), "")
    assert str(caught.value).endswith("x... (100175 characters)")
    assert len(str(caught.value)) < LONGEST_TEXT + 30


def test_as_many_inputs_as_the_model_has_are_left_to_the_whole_check() -> None:
    check_count(["X", "X"], config(), "")
    check_asked(MOST_ASKED)
    with pytest.raises(TooMany, match="1025 names of outputs; the limit of this server is 1024"):
        check_asked(MOST_ASKED + 1)


def test_rows_are_limited() -> None:
    def ask(rows: int, width: int) -> None:
        inputs = (Tensor("A", "FP32", (rows, 2, width)), Tensor("B", "INT32", (rows, 1)))
        check_inputs(InferRequest("", inputs), config(), pictures=False)

    ask(MOST_ROWS, 1)
    ask(MOST_ROWS, 0)  # the other input's rows hold something
    with pytest.raises(TooMany, match="request has 1048577 batch rows; the limit"):
        ask(MOST_ROWS + 1, 1)


def test_rows_that_hold_nothing_are_not_split_into_runs() -> None:
    spec = (TensorSpec("A", "FP32", (-1,)),)
    model = make_model_config("m", 4, spec, (TensorSpec("C", "FP32", (-1,)),), {})
    check_inputs(InferRequest("", (tensor("A", 4, 0),)), model, pictures=False)
    with pytest.raises(
        RequestError, match="batch-size must be <= 4 for 'm': its rows hold nothing"
    ):
        check_inputs(InferRequest("", (tensor("A", 5, 0),)), model, pictures=False)


def test_strings_for_a_graph_are_limited() -> None:
    spec = (TensorSpec("A", "BYTES", (-1,)),)
    model = make_model_config("m", 4, spec, (TensorSpec("C", "BYTES", (-1,)),), {})

    def ask(size: int) -> None:
        strings = Tensor("A", "BYTES", (1, 2), elements=(bytes(size), b"a"))
        check_inputs(InferRequest("", (strings,)), model, pictures=False)

    ask(MOST_STRING_BYTES - 1)
    with pytest.raises(TooMany, match="request has 16777217 bytes of strings; the limit"):
        ask(MOST_STRING_BYTES)
