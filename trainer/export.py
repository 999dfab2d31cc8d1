"""A checkpoint -> one ONNX graph, proven equal to the model, published as the next version.

The graph takes uint8 pictures of any batch size and holds the normalisation and everything behind
the last layer, so that a server needs no knowledge of the training. It is traced at batch size 2
and compared with the fp32 model in onnxruntime at 1 and 3, which is what catches a batch axis
that the tracer fixed silently.
"""

import json
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from contract.hardware import available_cpus
from contract.locations import Location
from contract.model_config import ModelConfig, make_model_config
from contract.pictures import Picture
from trainer.checkpoints import Checkpoint
from trainer.errors import ExportMismatch
from trainer.pixel_size import PixelSize, sides
from trainer.publishing import PublishedVersion, publish
from trainer.tasks import load_task
from trainer.tasks.task import Task
from trainer.version import trainer_version

MAX_BATCH_SIZE: Final = 64
MAX_BATCH_PIXELS: Final = 64 * 224 * 224  # larger inputs are batched in smaller numbers
OPSET: Final = 20
TRACED_BATCH: Final = 2
CHECKED_BATCHES: Final = (1, 3)
DRAWS: Final = 5
MAX_DIFFERENCE: Final = 1e-4

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Export:
    """What is exported of a checkpoint.

    Attributes:
        task: The model's task.
        module: From the graph's inputs to its outputs.
        config: The configuration that describes the graph.
        labels: The class names in index order.
    """

    task: Task
    module: nn.Module
    config: ModelConfig
    labels: tuple[str, ...]


def export_and_publish(
    checkpoint: Checkpoint,
    repository: Location,
    name: str,
    metrics: Mapping[str, float],
    finish: Callable[[Export, Path], ModelConfig] | None = None,
) -> PublishedVersion:
    """Export a checkpoint and publish it as the next version of `name`.

    Args:
        checkpoint: The trained model.
        repository: The model repository.
        name: The model's name in it.
        metrics: Numbers that its config's parameters and the graph's metadata carry.
        finish: Measures or replaces the graph at that path, and returns the configuration to publish.

    Raises:
        ExportMismatch: The graph does not compute what the model does.
        RepositoryError: The repository cannot be written, or serves another interface as `name`.
    """
    task = load_task(checkpoint.origin.task)
    model = task.load_model(checkpoint.folder)
    described = describe_model(task, model, name, checkpoint.labels, checkpoint.input_size)
    config = described.with_parameters(
        {
            **checkpoint.origin.parameters,
            **{key: repr(value) for key, value in metrics.items()},
            "dataset_sha256": checkpoint.origin.dataset_sha256,
            "base_model": checkpoint.origin.base_model,
            "trainer_version": trainer_version(),
        }
    )
    export = Export(task, task.serving_module(model).eval(), config, checkpoint.labels)

    def write(path: Path) -> None:
        write_onnx(task, export.module, config, path)
        check_onnx(task, export.module, config, path)

    published = publish(
        repository,
        config,
        checkpoint.labels,
        write,
        None if finish is None else lambda path: finish(export, path),
    )
    logger.info("event=published model=%s version=%d", name, published.version)
    return published


def describe_model(
    task: Task, model: PreTrainedModel, name: str, labels: tuple[str, ...], input_size: PixelSize
) -> ModelConfig:
    """The configuration that a model has when it is published with these labels and input size."""
    inputs, outputs = task.tensors(model, input_size, labels)
    parameters = {"task": task.name, "resize": task.fit, "labels": json.dumps(labels)}
    return make_model_config(name, max_batch_size(input_size), inputs, outputs, parameters)


def max_batch_size(input_size: PixelSize) -> int:
    """The largest power of two up to 64 whose pictures have MAX_BATCH_PIXELS together; at least 1.

    A server tries every power of two up to it before it is ready.
    """
    height, width = sides(input_size)
    fitting = min(MAX_BATCH_SIZE, max(1, MAX_BATCH_PIXELS // (height * width)))
    return 1 << (fitting.bit_length() - 1)


def write_onnx(task: Task, module: nn.Module, config: ModelConfig, path: Path) -> None:
    """Write one self-contained file with a dynamic batch axis and the config's parameters."""
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    inputs = random_inputs(task, config, TRACED_BATCH)
    # It says four times that torchvision is missing; nothing here needs it. Set after the import
    # of torch, whose own logging would undo it.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # torch warns about its own internals while it traces; the check behind decides.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            tuple(torch.from_numpy(inputs[spec.name]) for spec in config.inputs),
            dynamo=True,
            opset_version=OPSET,
            input_names=[spec.name for spec in config.inputs],
            output_names=[spec.name for spec in config.outputs],
            dynamic_shapes=tuple({0: batch} for _ in config.inputs),
            verbose=False,
        )
    assert program is not None  # noqa: S101 - None comes only from the old, non-dynamo exporter
    graph = program.model_proto
    # A protobuf map has no order; in order, the same model is the same file in every process.
    onnx.helper.set_model_props(graph, dict(sorted(config.parameters.items())))
    onnx.checker.check_model(graph, full_check=True)
    onnx.save_model(graph, path)


def check_onnx(task: Task, module: nn.Module, config: ModelConfig, path: Path) -> None:
    """Compare the file with the model on random pictures, at batch sizes that were not traced.

    One of DRAWS batches of a size must agree: where two scores of a top-k or an argmax are equal
    but for rounding, the runtimes may choose differently, but a wrong graph is wrong on each draw.

    Raises:
        ExportMismatch: An output differs by more than rounding explains.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for batch in CHECKED_BATCHES:
        for draw in range(DRAWS):
            found = _differences(
                task, module, config, session, random_inputs(task, config, batch, draw)
            )
            name = max(found, key=lambda output: found[output])
            if found[name] <= MAX_DIFFERENCE:
                break
            logger.warning(
                "event=export_check batch=%d draw=%d output=%s difference=%.3g",
                *(batch, draw, name, found[name]),
            )
        else:
            raise ExportMismatch(name, batch, found[name], MAX_DIFFERENCE)


def _differences(
    task: Task,
    module: nn.Module,
    config: ModelConfig,
    session: onnxruntime.InferenceSession,
    inputs: dict[str, NDArray[Any]],
) -> dict[str, float]:
    """The largest difference of each output between the graph and the model."""
    names = [spec.name for spec in config.outputs]
    got = session.run(names, inputs)
    with torch.inference_mode():
        expected = module(*(torch.from_numpy(inputs[spec.name]) for spec in config.inputs))
    reference = {name: output.numpy() for name, output in zip(names, expected, strict=True)}
    ours = task.align(dict(zip(names, got, strict=True)), reference)
    return {name: _difference(ours[name], reference[name]) for name in names}


def random_inputs(
    task: Task, config: ModelConfig, batch: int, draw: int = 0
) -> dict[str, NDArray[Any]]:
    """The inputs [batch, ...] of random pictures of several shapes, fitted as the task does."""
    height, width, _ = config.inputs[0].dims
    rows = []
    for i in range(batch):
        rng = np.random.default_rng([batch, i, draw])
        content = height - i * height // (2 * batch), width
        size = (height, width) if task.fit == "squash" else content
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[: size[0], : size[1]] = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        rows.append(task.prepare(Picture(pixels, size[1], size[0], size[1], size[0])))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _difference(got: NDArray[Any], expected: NDArray[Any]) -> float:
    if got.shape != expected.shape:
        return float("inf")
    difference = float(np.max(np.abs(got.astype(np.float64) - expected), initial=0.0))
    return float("inf") if np.isnan(difference) else difference
