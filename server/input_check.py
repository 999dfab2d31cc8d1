"""A V2 request against its model's configuration, refused in Triton's words.

Clients and test scripts match on these texts.

Source: InferenceRequest::Normalize in
https://github.com/triton-inference-server/core/blob/main/src/infer_request.cc
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from contract.model_config import ModelConfig, TensorSpec
from server.bytes_elements import MOST_STRING_BYTES
from server.errors import RequestError, TooMany
from server.tensors import BYTES, InferRequest, RequestedOutput, Tensor

_BATCH_NOTE: Final = (
    "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be "
    "prepended to each input shape. If you want to specify the full shape including the batch dim "
    "in your input dims config, try setting max_batch_size to zero. See the model configuration "
    "docs for more info on max_batch_size."
)


MOST_ROWS: Final = 1 << 20
"""Batch rows of a request: each run of some of them takes memory, whatever a row holds."""

MOST_ASKED: Final = 1 << 10
"""Outputs that a request names, some of them perhaps twice."""

_SHOWN_NAMES: Final = 16


def check_count(names: Sequence[str], config: ModelConfig, request_id: str) -> None:
    """Refuse a request of more inputs than its model has, of which none needs to be read then.

    Args:
        names: The names of its inputs.
        config: The configuration of the version that is to answer.
        request_id: What its client calls it.

    Raises:
        RequestError: Says what was got and expected.
    """
    if len(names) > len(config.inputs):
        _check_names(names, config, _about(request_id))


def check_asked(count: int) -> None:
    """Refuse a request that names too many outputs, before any is read.

    Raises:
        TooMany: It does.
    """
    if count > MOST_ASKED:
        raise TooMany("names of outputs", count, MOST_ASKED)


def check_inputs(request: InferRequest, config: ModelConfig, *, pictures: bool) -> None:
    """Refuse a request whose tensors are not the model's.

    Args:
        request: The request.
        config: The configuration of the version that is to answer.
        pictures: Whether BYTES may stand for the first input, as picture files [N] or [N, 1].

    Raises:
        RequestError: Says what was got and expected.
    """
    _check_outputs(request.outputs, config)
    if pictures and len(request.inputs) == 1 and request.inputs[0].datatype == BYTES:
        _check_pictures(request.inputs[0], config)
        return
    specs = {spec.name: spec for spec in config.inputs}
    about = _about(request.id)
    _check_names([tensor.name for tensor in request.inputs], config, about)
    if config.max_batch_size:
        if not request.inputs:  # all of them are optional
            raise RequestError(
                f"{about}inference request batch-size must be >= 1 for '{config.name}'; got no "
                "input that has one"
            )
        _check_batch_sizes(request.inputs, config, about)
    for tensor in request.inputs:
        _check_tensor(tensor, specs[tensor.name], config, about)
    strings = (element for tensor in request.inputs for element in tensor.elements)
    size = sum(len(element) for element in strings if isinstance(element, bytes))
    if size > MOST_STRING_BYTES:
        raise TooMany("bytes of strings", size, MOST_STRING_BYTES)


def check_unread(tensor: Tensor, config: ModelConfig, request_id: str, *, pictures: bool) -> None:
    """Refuse an input whose data were not read yet, if no data would make it one of the model's.

    Args:
        tensor: The input, without data.
        config: The configuration of the version that is to answer.
        request_id: What its client calls the request.
        pictures: Whether BYTES may stand for the first input.

    Raises:
        RequestError: Says what was got and expected.
    """
    about = _about(request_id)
    spec = next((spec for spec in config.inputs if spec.name == tensor.name), None)
    if spec is None:
        raise _unexpected(tensor.name, config)
    if pictures and tensor.datatype == BYTES:
        return
    if config.max_batch_size:
        _check_batch_sizes([tensor], config, about)
    _check_tensor(tensor, spec, config, about)


def _check_outputs(asked: Sequence[RequestedOutput], config: ModelConfig) -> None:
    known = {spec.name for spec in config.outputs}
    for output in asked:
        if output.name not in known:
            raise RequestError(
                f"unexpected inference output '{output.name}' for model '{config.name}'"
            )


def _check_pictures(tensor: Tensor, config: ModelConfig) -> None:
    if tensor.name != config.inputs[0].name:
        raise _unexpected(tensor.name, config)
    count = len(tensor.elements)
    if not count or tensor.shape not in ((count,), (count, 1)):
        raise RequestError(
            f"unexpected shape for input '{tensor.name}' for model '{config.name}'. "
            f"Expected picture files as [N] or [N,1], N > 0, got {_text(tensor.shape)}"
        )


def _check_names(given: Sequence[str], config: ModelConfig, about: str) -> None:
    names = [spec.name for spec in config.inputs]
    needed = [spec.name for spec in config.inputs if not spec.optional]
    counts = Counter(given)
    if len(counts) < len(given):
        twice = next(name for name in given if counts[name] > 1)
        raise RequestError(f"{about}input '{twice}' already exists in request")
    missing = [name for name in needed if name not in counts]
    if not len(needed) <= len(given) <= len(names):
        raise RequestError(_wrong_count(config, given, missing, about))
    for name in given:
        if name not in names:
            raise _unexpected(name, config)
    if missing:  # and optional ones in their place
        raise RequestError(_wrong_count(config, given, missing, about))


def _unexpected(name: str, config: ModelConfig) -> RequestError:
    return RequestError(f"unexpected inference input '{name}' for model '{config.name}'")


def _wrong_count(
    config: ModelConfig, given: Sequence[str], missing: Sequence[str], about: str
) -> str:
    most = len(config.inputs)
    least = sum(not spec.optional for spec in config.inputs)
    expected = f"{most} inputs" if least == most else f"number of inputs between {least} and {most}"
    return (
        f"{about}expected {expected} but got {len(given)} inputs for model '{config.name}'. "
        f"Got input(s) {_quoted(given)}, but missing required input(s) {_quoted(missing)}. "
        "Please provide all required input(s)."
    )


def _check_batch_sizes(tensors: Sequence[Tensor], config: ModelConfig, about: str) -> None:
    model, most = config.name, config.max_batch_size
    for tensor in tensors:
        if not tensor.shape:
            raise RequestError(
                f"{about}input '{tensor.name}' has no shape but model requires batch dimension "
                f"for '{model}'"
            )
        if tensor.shape[0] != tensors[0].shape[0]:
            raise RequestError(
                f"{about}input '{tensor.name}' batch size does not match other inputs for '{model}'"
            )
        if not tensor.shape[0]:
            raise RequestError(f"{about}inference request batch-size must be >= 1 for '{model}'")
    rows = tensors[0].shape[0]
    if rows > MOST_ROWS:
        raise TooMany("batch rows", rows, MOST_ROWS)
    if rows > most and all(0 in tensor.shape for tensor in tensors):  # not worth many runs
        raise RequestError(
            f"{about}inference request batch-size must be <= {most} for '{model}': its rows hold "
            "nothing"
        )


def _check_tensor(tensor: Tensor, spec: TensorSpec, config: ModelConfig, about: str) -> None:
    if tensor.datatype != spec.datatype:
        raise RequestError(
            f"{about}inference input '{tensor.name}' data-type is '{tensor.datatype}', but model "
            f"'{config.name}' expects '{spec.datatype}'"
        )
    batched = config.max_batch_size > 0
    expected = (-1, *spec.dims) if batched else spec.dims
    if len(tensor.shape) != len(expected) or any(
        want not in (-1, got) for want, got in zip(expected, tensor.shape, strict=True)
    ):
        raise RequestError(
            f"{about}unexpected shape for input '{tensor.name}' for model '{config.name}'. "
            f"Expected {_text(expected)}, got {_text(tensor.shape)}. "
            f"{_BATCH_NOTE if batched else ''}"
        )


def _about(request_id: str) -> str:
    return f"[request id: {request_id or '<id_unknown>'}] "


def _quoted(names: Sequence[str]) -> str:
    shown = [f"'{name}'" for name in names[:_SHOWN_NAMES]]
    return "[" + ",".join([*shown, "..."] if len(names) > len(shown) else shown) + "]"


def _text(dims: Sequence[int]) -> str:
    return f"[{','.join(map(str, dims))}]"
