import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from server.errors import TooMany
from server.protocol import oip_pb2 as oip
from server.protocol.wire import MOST_FIELDS, Split, fields_of, length_prefixed, prefix, split_raw

NAMES = st.text(max_size=3)
FORMS = st.sampled_from([b"", b"\x08\x96\x01", b"\x99\x06" + bytes(8), b"\x9d\x06" + bytes(4)])
"""Nothing, and unknown fields of each kind: a varint, 8 bytes, 4 bytes."""


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Requests whose fields come in parts, of which the later add to the earlier."""
    parts = []
    for _ in range(draw(st.integers(0, 3))):
        request = oip.ModelInferRequest(model_name=draw(NAMES), id=draw(NAMES))
        for name in draw(st.lists(NAMES, max_size=3)):
            request.inputs.add(name=name, datatype="FP32", shape=[1, 2**40])
        request.parameters[draw(NAMES)].int64_param = draw(st.integers(-(2**63), 2**63 - 1))
        request.raw_input_contents.extend(draw(st.lists(st.binary(max_size=300), max_size=4)))
        parts += [request.SerializeToString(), draw(FORMS)]
    return b"".join(parts)


@given(messages())
def test_both_parts_are_what_protobuf_reads(wire: bytes) -> None:
    split = split_raw(wire)
    whole = oip.ModelInferRequest.FromString(wire)
    assert [bytes(part) for part in split.raw] == list(whole.raw_input_contents)
    del whole.raw_input_contents[:]
    assert oip.ModelInferRequest.FromString(split.rest) == whole


def test_raw_tensors_are_not_copied() -> None:
    wire = oip.ModelInferRequest(raw_input_contents=[b"abc"]).SerializeToString()
    (raw,) = split_raw(wire).raw
    assert raw.obj is wire


@given(messages(), st.data())
def test_a_message_that_is_cut_is_none_or_a_shorter_one(wire: bytes, data: st.DataObject) -> None:
    cut = wire[: data.draw(st.integers(0, len(wire)))]
    try:
        whole = oip.ModelInferRequest.FromString(cut)
    except DecodeError:
        with pytest.raises(DecodeError):
            oip.ModelInferRequest.FromString(split_raw(cut).rest)
    else:
        assert [bytes(part) for part in split_raw(cut).raw] == list(whole.raw_input_contents)


@pytest.mark.parametrize("wire", [b"\xff" * 20, b"\x3a\xff\xff\xff\xff\x0f", b"\x0b", b"\x3a"])
def test_what_is_no_message_is_refused(wire: bytes) -> None:
    with pytest.raises(DecodeError):
        split_raw(wire)


@pytest.mark.parametrize("number", [0, 1 << 29, 1 << 32])
def test_a_field_without_a_number_is_refused(number: int) -> None:
    """In what protobuf does not see, too: the contents of a large message's inputs."""
    field = prefix(0, number << 3)[1:] + b"\x00"
    entry = length_prefixed(5 << 3 | 2, field)
    for wire in (field, length_prefixed(5 << 3 | 2, entry) + b"\x3a\x80\x80\x10" + bytes(1 << 18)):
        with pytest.raises(DecodeError):
            oip.ModelInferRequest.FromString(wire)
    with pytest.raises(DecodeError, match=f"field number {number}$"):
        list(fields_of(field, 0, len(field)))


def test_fields_are_limited() -> None:
    """Of each there would be an object."""
    tiny = b"\x2a\x00"
    assert split_raw(tiny * MOST_FIELDS) == Split(tiny * MOST_FIELDS, [])
    with pytest.raises(TooMany, match="request has 16385 fields or more; the limit"):
        split_raw(tiny * (MOST_FIELDS + 1) + b"\xff")
