"""What a lower precision costs: the validation metric of each that this machine can serve.

The exported graph is run as a server would run it, in fp32 and in each lower precision, on the same
validation pictures. The price is two passes over up to MOST pictures, fewer where they are large:
about 20 s for a ResNet-50 at 224 and 3 minutes for a SegFormer-B3 at 512 on 2 cores. A loss is told
the finer the more pictures there are: of 100, one picture is a whole point.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from contract.choice import Asked, Choice, Machine, Model
from contract.engines import with_engine
from contract.errors import ProviderError
from contract.hardware import available_cpus
from contract.placement import Placement
from contract.precision import Measurement, Precision, file_sha256
from contract.providers import choices
from contract.sessions import Launch, detect_machine, open_session
from trainer.datasets.dataset import Sample
from trainer.errors import DatasetError
from trainer.evaluate import evaluate
from trainer.export import Export
from trainer.files import replace_text
from trainer.predictors import GraphPredictor
from trainer.report import PRECISIONS_FILE

MOST: Final = 2000
LEAST: Final = 100
PIXELS: Final = 500 * 224 * 224
"""Input pixels of all measured pictures together, where that is between LEAST and MOST pictures."""

_MEASUREMENT: Final = TypeAdapter(Measurement)

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Validation:
    """What precisions are measured on.

    Attributes:
        samples: The validation pictures.
        batch_size: Pictures of one run.
        max_loss: The loss beside fp32 up to which a server may use a precision.
    """

    samples: Sequence[Sample]
    batch_size: int
    max_loss: float


def measure(
    export: Export, path: Path, validation: Validation, machine: Machine | None = None
) -> Measurement | None:
    """Measure the graph at `path` in fp32, and in each lower precision that runs on this machine.

    Returns:
        What was measured, or None where the validation pictures have no such metric.

    Raises:
        ProviderError: Not even fp32 can be run.
    """
    machine = machine or detect_machine()
    chosen = measured_samples(validation.samples, export)
    values: dict[Precision, float] = {}
    for precision in _servable(machine):
        choice = _choice(machine, precision)
        try:
            values[precision] = _metric(export, path, choice, validation, chosen)
        except DatasetError as err:
            logger.warning("event=not_measured reason=%s", err)
            return None
        except ProviderError as err:
            if precision == "fp32":
                raise
            logger.warning("event=not_measured precision=%s reason=%s", precision, err)
    measured = Measurement(
        export.task.main_metric, values, len(chosen), validation.max_loss, file_sha256(path)
    )
    _log(measured)
    return measured


def measure_int8(
    export: Export, plain: Path, quantised: Path, validation: Validation
) -> Measurement:
    """Measure a quantised graph beside the one that it was made from, both on the CPU.

    Raises:
        DatasetError: There is no validation picture that the metric can be computed of.
        ProviderError: A graph cannot be run.
    """
    chosen = measured_samples(validation.samples, export)
    cpu = Choice("cpu", "fp32", "measured")
    values: dict[Precision, float] = {
        "fp32": _metric(export, plain, cpu, validation, chosen),
        "int8": _metric(export, quantised, cpu, validation, chosen),
    }
    measured = Measurement(
        export.task.main_metric,
        values,
        len(chosen),
        validation.max_loss,
        file_sha256(quantised),
        "int8",
    )
    _log(measured)
    return measured


def measured_samples(samples: Sequence[Sample], export: Export) -> Sequence[Sample]:
    """The pictures that are measured: all, or as many as PIXELS allows, spread evenly."""
    height, width, _ = export.config.inputs[0].dims
    return spread(samples, min(MOST, max(LEAST, PIXELS // (height * width))))


def spread(items: Sequence[T], count: int) -> Sequence[T]:
    """Up to `count` of the items, spread evenly over their order, which may be that of labels."""
    if len(items) <= count:
        return items
    return [items[index * len(items) // count] for index in range(count)]


def remember(run_dir: Path, measured: Measurement) -> None:
    """Keep a measurement in the run's folder."""
    text = _MEASUREMENT.dump_json(measured, indent=2).decode()
    replace_text(run_dir / PRECISIONS_FILE, text + "\n")


def recall(run_dir: Path, path: Path) -> Measurement | None:
    """What the run measured of exactly this graph, if it did."""
    try:
        measured = _MEASUREMENT.validate_json((run_dir / PRECISIONS_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    return measured if measured.model_sha256 == file_sha256(path) else None


def _servable(machine: Machine) -> list[Precision]:
    servable: list[Precision] = ["fp32"]
    if machine.has_openvino and machine.bf16_flags:
        servable.append("bf16")
    if machine.gpus and machine.has_tensorrt:
        servable.append("fp16")
    return servable


def _choice(machine: Machine, precision: Precision) -> Choice:
    """What a server runs the precision with."""
    placement = Placement(gpus=(0,)) if machine.gpus else Placement()
    return choices(machine, Model(placement=placement), Asked("auto", precision))[0]


def _metric(
    export: Export,
    path: Path,
    choice: Choice,
    validation: Validation,
    samples: Sequence[Sample],
) -> float:
    """The main metric; TensorRT's engines are left beside the graph, where a server finds them."""
    choice = with_engine(choice, export.config, path.parent, None)
    session = open_session(Launch(path, choice, available_cpus()))
    predictor = GraphPredictor(export.task, export.config, export.labels, session)
    metrics = evaluate(export.task, predictor, samples, validation.batch_size)
    try:
        return metrics[export.task.main_metric]
    except KeyError as err:
        raise DatasetError(
            f"the validation pictures have no {export.task.main_metric}: nothing is annotated"
        ) from err


def _log(measured: Measurement) -> None:
    for precision in measured.values:
        if precision != "fp32":
            logger.info("event=measured %s", measured.says(precision))
