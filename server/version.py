"""One loaded version of a model: its session, its batcher, its task.

`load_version` does the blocking work (read, open, warm up) and belongs in a thread; `start` and
the inference calls belong on the event loop.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from contract.errors import ContractError
from contract.labels import read_labels
from contract.model_config import MODEL_FILE, ModelConfig, TensorSpec
from contract.pictures import Picture, without_pixels
from server.batcher import Batcher, Row
from server.decoder import Decoder, Source
from server.errors import LoadError, RequestError
from server.instances import PredictRequest
from server.providers import Choice, choose, detect_machine, open_session
from server.tasks import TASKS
from server.tasks.task import Task
from server.tensors import (
    BYTES,
    NUMPY_OF_DATATYPE,
    InferRequest,
    RequestedOutput,
    Tensor,
    best_classes,
)

logger = logging.getLogger(__name__)

PART_PICTURES: Final = 256

_ONNX_TYPES = {
    "tensor(uint8)": "UINT8",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
}


@dataclass(frozen=True, slots=True)
class Engine:
    """How versions are run on this machine.

    Attributes:
        provider: The provider that the user asked for, or auto.
        precision: The arithmetic that the user asked for, or auto.
        threads: Threads of one inference.
        max_queue_size: Most pictures waiting for a version.
    """

    provider: str
    precision: str
    threads: int
    max_queue_size: int


class Version:
    """A loaded version; made by `load_version`."""

    def __init__(
        self,
        number: int,
        config: ModelConfig,
        labels: tuple[str, ...],
        session: ort.InferenceSession,
        engine: Engine,
    ) -> None:
        self.number = number
        self.config = config
        self.labels = labels
        self.task: Task = TASKS[config.task](config, labels)
        self._session = session
        self._part = min(PART_PICTURES, engine.max_queue_size)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"infer-{config.name}")
        self._batcher = Batcher(
            self._run, self._executor, config.max_batch_size, engine.max_queue_size
        )

    @property
    def alive(self) -> bool:
        """Whether it can answer."""
        return self._batcher.alive

    def start(self) -> None:
        """Start answering; call it on the event loop."""
        self._batcher.start()

    async def stop(self) -> None:
        """Stop after the run under way and let go of the session's memory."""
        await self._batcher.stop()
        self._executor.shutdown(wait=False)

    def warm_up(self) -> None:
        """Run every batch size once that is a power of two, and the largest, on black pictures.

        Providers that compile for a shape do it here and not in a client's request.
        """
        largest = self.config.max_batch_size
        sizes = sorted({largest, *(2**k for k in range(largest.bit_length()))})
        for size in sizes:
            self._run(
                {
                    spec.name: np.zeros((size, *spec.dims), NUMPY_OF_DATATYPE[spec.datatype])
                    for spec in self.config.inputs
                }
            )

    async def answer(self, decoder: Decoder, request: PredictRequest) -> list[object]:
        """The task's answer for each picture, in their order.

        Raises:
            BadPicture: Names the first picture that cannot be used.
            QueueFull: Too many pictures wait already.
        """
        return [
            self.task.answer(row, picture, request.options)
            for row, picture in await self._look_at(decoder, request.sources)
        ]

    async def render(
        self, decoder: Decoder, request: PredictRequest, media_type: str
    ) -> list[bytes]:
        """The same, rendered as one of the task's media types."""
        return [
            self.task.render(media_type, row, picture, request.options)
            for row, picture in await self._look_at(decoder, request.sources)
        ]

    async def infer(
        self, decoder: Decoder, request: InferRequest
    ) -> dict[str, NDArray[np.generic]]:
        """The outputs[N, ...] of a V2 request, by name, in the order asked for.

        Raises:
            RequestError: Tensors that are not the model's inputs.
            BadPicture: Names the first picture that cannot be used.
            QueueFull: Too many pictures wait already.
        """
        asked = self._check_outputs(request.outputs)
        if len(request.inputs) == 1 and request.inputs[0].datatype == BYTES:
            check_picture_tensor(request.inputs[0], self.config.inputs[0])
            looked = await self._look_at(decoder, request.inputs[0].elements)
            rows = [row for row, _ in looked]
        else:
            rows = await self._submit(split_tensors(request.inputs, self.config))
        return {output.name: self._gather(rows, output) for output in asked}

    def _run(self, inputs: Row) -> Row:
        names = [spec.name for spec in self.config.outputs]
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))

    async def _look_at(
        self, decoder: Decoder, sources: Sequence[Source]
    ) -> list[tuple[Row, Picture]]:
        """The outputs for each picture, beside the picture's sizes.

        A long request is decoded and run in parts, so that it takes the memory of one part and
        leaves the queue room for others.
        """
        seen: list[tuple[Row, Picture]] = []
        for start in range(0, len(sources), self._part):
            part = sources[start : start + self._part]
            size, fit = self.task.picture_size, self.task.fit
            pictures = await decoder.decode(part, size, fit, first_index=start)
            outputs = await self._batcher.submit([self.task.prepare(one) for one in pictures])
            seen += zip(outputs, (without_pixels(one) for one in pictures), strict=True)
        return seen

    async def _submit(self, rows: Sequence[Row]) -> list[Row]:
        outputs: list[Row] = []
        for start in range(0, len(rows), self._part):
            outputs += await self._batcher.submit(rows[start : start + self._part])
        return outputs

    def _check_outputs(self, asked: Sequence[RequestedOutput]) -> Sequence[RequestedOutput]:
        known = [spec.name for spec in self.config.outputs]
        for output in asked:
            if output.classes < 0:
                raise RequestError(
                    f"output '{output.name}': classification is {output.classes}; expected 0 or more"
                )
            if output.name not in known:
                raise RequestError(
                    f"unexpected inference output '{output.name}' for model '{self.config.name}'; "
                    f"expected one of {', '.join(known)}"
                )
        return asked or [RequestedOutput(name) for name in known]

    def _gather(self, rows: Sequence[Row], output: RequestedOutput) -> NDArray[np.generic]:
        array: NDArray[np.generic] = np.stack([row[output.name] for row in rows])
        return best_classes(array, output.classes, self.labels) if output.classes else array


def load_version(model_dir: Path, number: int, config: ModelConfig, engine: Engine) -> Version:
    """Read, check, open and warm up a version; blocks for as long as that takes.

    Raises:
        LoadError: It cannot be served; the message says why.
    """
    if config.task not in TASKS:
        raise LoadError(
            f"{model_dir}: parameter task is {config.task!r}; expected one of {', '.join(TASKS)}"
        )
    if config.max_batch_size < 1:
        raise LoadError(
            f"{model_dir}: max_batch_size is {config.max_batch_size}; expected 1 or more"
        )
    _check_picture_input(model_dir, config)
    choice = choose(detect_machine(), engine.provider, engine.precision)
    path = model_dir / str(number) / MODEL_FILE
    session = open_session(path, choice, engine.threads)
    check_signature(path, session, config)
    config = _with_execution(config, choice)
    version = Version(number, config, _read_labels(model_dir, config), session, engine)
    try:
        version.warm_up()
    except Exception as err:  # onnxruntime's errors share no base class below Exception
        raise LoadError(f"{path}: the warm-up run failed: {err}") from err
    logger.info(
        "loaded model=%s version=%d provider=%s precision=%s reason=%s",
        *(config.name, number, choice.provider, choice.precision, choice.reason),
    )
    return version


def check_signature(path: Path, session: ort.InferenceSession, config: ModelConfig) -> None:
    """Refuse a graph whose tensors are not those of the configuration.

    Raises:
        LoadError: Names the tensor, and what the graph and the configuration say of it.
    """
    for kind, specs, nodes in (
        ("input", config.inputs, session.get_inputs()),
        ("output", config.outputs, session.get_outputs()),
    ):
        graph = {node.name: (_ONNX_TYPES.get(node.type, node.type), node.shape) for node in nodes}
        for spec in specs:
            if spec.name not in graph:
                raise LoadError(
                    f"{path}: has no {kind} '{spec.name}' of config.pbtxt; it has {', '.join(graph)}"
                )
            datatype, shape = graph[spec.name]
            if datatype != spec.datatype or not _fits(shape, spec.dims):
                raise LoadError(
                    f"{path}: {kind} '{spec.name}' is {datatype} {shape}; "
                    f"config.pbtxt says {spec.datatype} [batch, {', '.join(map(str, spec.dims))}]"
                )


def check_picture_tensor(tensor: Tensor, spec: TensorSpec) -> None:
    """Refuse a BYTES tensor that is not `spec` as picture files of shape [N] or [N, 1].

    Raises:
        RequestError: Says what was got and expected.
    """
    if tensor.name != spec.name:
        raise RequestError(f"unexpected inference input '{tensor.name}'; expected '{spec.name}'")
    if tensor.shape not in ((len(tensor.elements),), (len(tensor.elements), 1)) or not len(
        tensor.elements
    ):
        raise RequestError(
            f"input '{tensor.name}': BYTES of shape {list(tensor.shape)}; "
            "expected picture files of shape [N] or [N, 1], N > 0"
        )


def split_tensors(tensors: Sequence[Tensor], config: ModelConfig) -> list[Row]:
    """Split a request's input tensors[N, ...] into N rows, as views.

    Raises:
        RequestError: A tensor is missing, unknown, or of another datatype or shape.
    """
    specs = {spec.name: spec for spec in config.inputs}
    given = {tensor.name: tensor for tensor in tensors}
    if len(given) != len(tensors) or given.keys() != specs.keys():
        raise RequestError(
            f"expected the inputs {', '.join(specs)} for model '{config.name}', once each; "
            f"got {', '.join(tensor.name for tensor in tensors) or 'none'}"
        )
    arrays = {name: _checked_array(tensor, specs[name]) for name, tensor in given.items()}
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        raise RequestError(f"inputs of batch sizes {sorted(counts)}; expected one size, 1 or more")
    return [{name: array[i] for name, array in arrays.items()} for i in range(counts.pop())]


def _checked_array(tensor: Tensor, spec: TensorSpec) -> NDArray[np.generic]:
    expected = [-1, *spec.dims]
    if tensor.array is None or tensor.datatype != spec.datatype:
        raise RequestError(
            f"inference input '{tensor.name}' data-type is '{tensor.datatype}', "
            f"expected '{spec.datatype}'"
        )
    if not tensor.shape or not _fits([None, *tensor.shape[1:]], spec.dims):
        raise RequestError(
            f"unexpected shape for input '{tensor.name}': expected {expected}, "
            f"got {list(tensor.shape)}"
        )
    return tensor.array


def _fits(shape: Sequence[int | str | None], dims: Sequence[int]) -> bool:
    """Whether shape[batch, ...] fits `dims`, where -1 and a named axis fit anything."""
    return len(shape) == len(dims) + 1 and all(
        dim == -1 or not isinstance(size, int) or size == dim
        for size, dim in zip(shape[1:], dims, strict=True)
    )


def _check_picture_input(model_dir: Path, config: ModelConfig) -> None:
    if not config.outputs:
        raise LoadError(f"{model_dir}: config.pbtxt describes no output")
    if not config.inputs or config.inputs[0].datatype != "UINT8":
        raise LoadError(f"{model_dir}: the first input of config.pbtxt is not a UINT8 picture")
    dims = config.inputs[0].dims
    if len(dims) != 3 or min(dims) < 1 or dims[2] != 3:
        raise LoadError(f"{model_dir}: the picture's dims are {list(dims)}; expected [H, W, 3]")


def _read_labels(model_dir: Path, config: ModelConfig) -> tuple[str, ...]:
    """The class names of the first output that has some; empty if none has."""
    for spec in config.outputs:
        if spec.label_filename:
            try:
                return read_labels(model_dir / Path(spec.label_filename).name)
            except ContractError as err:
                raise LoadError(str(err)) from err
    return ()


def _with_execution(config: ModelConfig, choice: Choice) -> ModelConfig:
    chosen: Mapping[str, str] = {
        "execution_provider": choice.provider,
        "execution_precision": choice.precision,
        "execution_reason": choice.reason,
    }
    return config.with_parameters(chosen)
