"""Static quantisation to int8: an exported graph and training pictures -> a smaller, faster graph.

Convolutions and matrix products are computed in int8, between QuantizeLinear and DequantizeLinear
(QDQ), with the ranges that the activations had on the calibration pictures. Activations are
unsigned and need not be symmetric, which suits CPUs; TensorRT wants them symmetric. The graph keeps
its inputs and outputs.

Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from contract.model_config import ModelConfig
from trainer.datasets.dataset import Sample
from trainer.errors import PrecisionLoss
from trainer.export import Export
from trainer.precisions import Validation, measure_int8
from trainer.predictors import prepare_inputs

BATCH: Final = 4
"""Calibration pictures of one run."""


def quantise_and_measure(
    export: Export, path: Path, calibration: Sequence[Sample], validation: Validation
) -> ModelConfig:
    """Replace the graph at `path` by its int8 form; the configuration that says what that costs.

    Raises:
        PrecisionLoss: It loses more than is allowed.
    """
    with tempfile.TemporaryDirectory(prefix="aperture-int8-") as folder:
        plain = Path(folder) / path.name
        shutil.copyfile(path, plain)
        quantise(export, plain, path, calibration)
        measured = measure_int8(export, plain, path, validation)
    if not measured.allows("int8"):
        raise PrecisionLoss(measured.says("int8"))
    return export.config.with_parameters(measured.parameters())


def quantise(export: Export, plain: Path, quantised: Path, calibration: Sequence[Sample]) -> None:
    """Write the int8 form of the graph at `plain` to `quantised`."""
    prepared = plain.with_suffix(".prepared.onnx")
    with _quiet():
        # Its symbolic shape inference is for graphs without the shapes that ours have.
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantised,
            _Calibration(export, calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(export.task.quantised),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    graph = onnx.load_model(quantised)
    onnx.helper.set_model_props(graph, dict(sorted(export.config.parameters.items())))
    onnx.checker.check_model(graph)
    onnx.save_model(graph, quantised)


class _Calibration(CalibrationDataReader):
    """The graph's inputs for the calibration pictures, a batch at a time."""

    def __init__(self, export: Export, samples: Sequence[Sample]) -> None:
        self._batches = self._read(export, samples)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next batch, or None after the last."""
        return next(self._batches, None)

    def _read(self, export: Export, samples: Sequence[Sample]) -> Iterator[dict[str, NDArray[Any]]]:
        height, width, _ = export.config.inputs[0].dims
        for start in range(0, len(samples), BATCH):
            files = [sample.path.read_bytes() for sample in samples[start : start + BATCH]]
            yield prepare_inputs(export.task, files, height, width)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the quantiser says of its own defaults to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
