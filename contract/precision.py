"""The precision guard: a lower precision is used only where a stored measurement allows it.

At publish the trainer measures the validation metric of each precision that its machine can serve,
on the same pictures, and writes what it found into config.pbtxt's parameters:

    metric_name          validation_accuracy
    metric_fp32          0.9342
    metric_bf16          0.9338          and metric_fp16, metric_int8
    metric_pictures      500             validation pictures that were measured
    metric_max_loss      0.005           loss up to which the server may use the precision
    metric_model_sha256  the model.onnx that was measured
    precision            int8            where the graph itself computes in it

config.pbtxt is shared by all versions of a model, and has the newest one's measurement; each version
has its own in the copy beside its model.onnx. The hash tells whose a measurement is. Which precision
a graph computes in, it says itself, by its operators.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from contract.errors import ConfigError
from contract.model_config import ModelConfig, read_model_config
from contract.onnx_operators import read_operators

Precision: TypeAlias = Literal["fp32", "bf16", "fp16", "int8"]

LOWER: Final[tuple[Precision, ...]] = ("bf16", "fp16", "int8")

MAX_LOSS: Final = 0.005
"""Half a point: the loss that is allowed where the user says nothing."""

_NAME: Final = "metric_name"
_PICTURES: Final = "metric_pictures"
_MAX_LOSS: Final = "metric_max_loss"
_SHA256: Final = "metric_model_sha256"
_GRAPH: Final = "precision"
_PARAMETERS: Final = frozenset(
    {
        *(_NAME, "metric_fp32", *(f"metric_{precision}" for precision in LOWER)),
        *(_PICTURES, _MAX_LOSS, _SHA256, _GRAPH),
    }
)

_INT8: Final = frozenset(
    {
        *("QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"),
        *("ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"),
        *("QGemm", "QAttention", "DynamicQuantizeLSTM"),
    }
)
"""The operators, ONNX's and onnxruntime's own, that quantise activations or compute with them."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the precisions of a version were measured to be worth.

    Attributes:
        metric: The metric's name; more of it is better.
        values: The metric in each precision that was measured, fp32 always among them.
        pictures: Validation pictures that it was measured on.
        max_loss: The loss beside fp32 up to which a precision may be used.
        model_sha256: Hash of the version's model.onnx.
        graph: The precision of the graph that was measured.
    """

    metric: str
    values: Mapping[Precision, float]
    pictures: int
    max_loss: float
    model_sha256: str
    graph: Precision = "fp32"

    def loss(self, precision: Precision) -> float:
        """How much of the metric the precision loses beside fp32; negative if it gains."""
        return self.values["fp32"] - self.values[precision]

    def allows(self, precision: Precision) -> bool:
        """Whether the precision was measured, and loses no more than is allowed."""
        # Rounded, so that 0.9 - 0.895 is no more than 0.005.
        return precision in self.values and round(self.loss(precision), 9) <= self.max_loss

    def says(self, precision: Precision) -> str:
        """What was measured of the precision, in words."""
        if precision not in self.values:
            return f"{precision} was not measured when this version was published"
        verdict = "within" if self.allows(precision) else "over"
        return (
            f"{self.metric} {self.values[precision]:.4f} in {precision} and "
            f"{self.values['fp32']:.4f} in fp32 on {self.pictures} pictures, a loss "
            f"{verdict} {self.max_loss:g}"
        )

    def parameters(self) -> dict[str, str]:
        """The parameters of config.pbtxt that say this."""
        return {
            _NAME: self.metric,
            **{f"metric_{precision}": repr(value) for precision, value in self.values.items()},
            _PICTURES: str(self.pictures),
            _MAX_LOSS: repr(self.max_loss),
            _SHA256: self.model_sha256,
            **({} if self.graph == "fp32" else {_GRAPH: self.graph}),
        }


@dataclass(frozen=True, slots=True)
class Guard:
    """What a server knows of a version's precisions.

    Attributes:
        measured: The stored measurement, or None.
        absent: Why there is none.
        graph: The precision of the graph itself.
    """

    measured: Measurement | None = None
    absent: str = "was not measured when this version was published"
    graph: Precision = "fp32"

    def allows(self, precision: Precision) -> bool:
        """Whether a measurement allows the precision."""
        return self.measured is not None and self.measured.allows(precision)

    def says(self, precision: Precision) -> str:
        """Why, in words."""
        if self.measured is None:
            return f"{precision} {self.absent}"
        return self.measured.says(precision)


def with_own_measurement(config: ModelConfig, version_dir: Path, model_file: Path) -> ModelConfig:
    """The configuration with what was measured of this version, where it has another version's.

    Args:
        config: The model's configuration, which counts where its measurement is of this file.
        version_dir: The version's folder; its config.pbtxt, if there is one, has its measurement.
        model_file: The version's model file, which is hashed where the two differ.
    """
    try:
        own = read_model_config(version_dir).parameters
    except ConfigError:
        return config
    sha256 = own.get(_SHA256)
    if sha256 in (None, config.parameters.get(_SHA256)) or sha256 != file_sha256(model_file):
        return config
    measured = {name: value for name, value in own.items() if name in _PARAMETERS}
    return config.without_parameters(_PARAMETERS).with_parameters(measured)


def read_guard(parameters: Mapping[str, str], model_file: Path) -> Guard:
    """What the parameters of a version's configuration, and its model file, say of its precisions.

    Reads the whole file to hash it, where there is a measurement.
    """
    graph: Precision = "int8" if read_operators(model_file) & _INT8 else "fp32"
    sha256 = parameters.get(_SHA256)
    if sha256 is None:
        return Guard(graph=graph)
    try:
        measured = _measurement(parameters, sha256)
    except (KeyError, ValueError) as err:
        absent = f"has a measurement in config.pbtxt that cannot be read ({err})"
        return Guard(absent=absent, graph=graph)
    if file_sha256(model_file) != sha256:
        return Guard(absent="was measured of another version's model.onnx", graph=graph)
    return Guard(measured, graph=graph)


def file_sha256(path: Path) -> str:
    """The hash of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _measurement(parameters: Mapping[str, str], sha256: str) -> Measurement:
    values: dict[Precision, float] = {"fp32": float(parameters["metric_fp32"])}
    for precision in LOWER:
        if f"metric_{precision}" in parameters:
            values[precision] = float(parameters[f"metric_{precision}"])
    return Measurement(
        metric=parameters[_NAME],
        values=values,
        pictures=int(parameters[_PICTURES]),
        max_loss=float(parameters[_MAX_LOSS]),
        model_sha256=sha256,
        graph="int8" if parameters.get(_GRAPH) == "int8" else "fp32",
    )
