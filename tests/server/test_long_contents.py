"""Contents of large messages in pieces: what they hold is what protobuf reads of the whole."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import RequestError, TooMany
from server.protocol import long_contents, wire
from server.protocol import oip_pb2 as oip
from server.protocol.long_contents import LongContents
from server.protocol.wire import MOST_REST, split_raw

SMALL = st.integers(0, 2**31 - 1)
CONTENTS = st.builds(
    oip.InferTensorContents,
    bool_contents=st.lists(st.booleans()),
    int_contents=st.lists(st.integers(-(2**31), 2**31 - 1)),
    uint64_contents=st.lists(st.integers(0, 2**64 - 1)),
    fp32_contents=st.lists(st.floats(width=32, allow_nan=False)),
    fp64_contents=st.lists(st.floats(allow_nan=False)),
    bytes_contents=st.lists(st.binary(max_size=40)),
)
INPUTS = st.builds(
    oip.ModelInferRequest.InferInputTensor,
    name=st.text(max_size=3),
    shape=st.lists(st.integers(-1, 2**40), max_size=3),
    contents=CONTENTS | st.none(),
)


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every message is large, and pieces have 16 bytes or 3 fields."""
    monkeypatch.setattr(wire, "LARGE", 0)
    for name, size in (("_PIECE", 16), ("_GROUP", 3), ("_COPIED", 8)):
        monkeypatch.setattr(long_contents, name, size)


def read(contents: LongContents) -> oip.InferTensorContents:
    together = oip.InferTensorContents()
    for name, values in contents.pieces():
        getattr(together, name).extend(values)
    return together


@settings(deadline=None)
@given(inputs=st.lists(INPUTS, max_size=3), again=CONTENTS)
def test_contents_in_pieces_are_the_contents(
    inputs: list[oip.ModelInferRequest.InferInputTensor], again: oip.InferTensorContents
) -> None:
    """The last input's come in two parts, which protobuf joins."""
    message = oip.ModelInferRequest(model_name="m", inputs=inputs).SerializeToString()
    more = oip.ModelInferRequest.InferInputTensor(contents=again).SerializeToString()
    last = oip.ModelInferRequest.InferInputTensor(contents=again).SerializeToString() + more
    message += b"\x2a" + len_prefix(last) + last
    split = split_raw(message)
    whole = oip.ModelInferRequest.FromString(message)
    rest = oip.ModelInferRequest.FromString(split.rest)
    for index, entry in enumerate(whole.inputs):
        assert entry.HasField("contents") == rest.inputs[index].HasField("contents")
        if entry.HasField("contents"):
            assert read(LongContents(message, split.contents[index])) == entry.contents
            entry.contents.Clear()
    assert rest == whole


def len_prefix(value: bytes) -> bytes:
    return wire.length_prefixed(0, value)[1 : -len(value) or None]


def test_values_that_are_not_packed_are_read_too() -> None:
    """As proto2 writes them."""
    message = b"\x10\x05" * 10 + b"\x35" + bytes(4) + b"\x10\x07"
    contents = read(LongContents(message, [(0, len(message))]))
    assert list(contents.int_contents) == [5] * 10 + [7]
    assert list(contents.fp32_contents) == [0]


def pieces_of(value: bytes) -> Iterator[object]:
    return LongContents(value, [(0, len(value))]).pieces()


@pytest.mark.parametrize("value", [b"\x32\x05" + bytes(5), b"\x0a\x28" + b"\xff" * 40, b"\x42\x7f"])
def test_what_are_no_contents_are_refused(value: bytes) -> None:
    with pytest.raises(RequestError, match="the contents of an input"):
        list(pieces_of(value))


def test_strings_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_contents, "MOST_ELEMENTS", 10)
    assert len(list(pieces_of(b"\x42\x00" * 10))) == 4
    with pytest.raises(TooMany, match="11 values or more in an input"):
        list(pieces_of(b"\x42\x00" * 11))


def test_what_is_no_tensor_is_limited() -> None:
    """A shape of a million axes would hold the interpreter as a tensor does."""
    entry = oip.ModelInferRequest.InferInputTensor(shape=[1] * MOST_REST)
    with pytest.raises(TooMany, match="bytes beside its tensors"):
        split_raw(oip.ModelInferRequest(inputs=[entry]).SerializeToString())
