"""The outputs that a V2 request asks for: checked before it runs, put together after it has run."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contract.model_config import ModelConfig
from server.errors import RequestError
from server.execution import Row, joined
from server.tensors import RequestedOutput, best_classes

_NO_CLASSES: Final = ("BOOL", "BF16", "BYTES")


def asked_outputs(
    asked: Sequence[RequestedOutput], config: ModelConfig
) -> Sequence[RequestedOutput]:
    """What a request asks for, whose names were checked; all outputs if it names none.

    Raises:
        RequestError: It asks for the classes of an output that has none, or for too few.
    """
    datatypes = {spec.name: spec.datatype for spec in config.outputs}
    for output in asked:
        if output.classes and datatypes[output.name] in _NO_CLASSES:
            raise RequestError(
                "class result not available for output due to unsupported type "
                f"'{datatypes[output.name]}'"
            )
        if output.classes < 0:
            raise RequestError(
                f"output '{output.name}': classification is {output.classes}; expected 0 or more"
            )
    return asked or [RequestedOutput(spec.name) for spec in config.outputs]


def gather(
    parts: Sequence[Row],
    asked: Sequence[RequestedOutput],
    config: ModelConfig,
    labels: Mapping[str, Sequence[str]],
) -> dict[str, NDArray[np.generic]]:
    """The outputs[N, ...] that were asked for, of all parts; classes as text where those were.

    Args:
        parts: The outputs of the parts of a batch.
        asked: What was asked for.
        config: The model's configuration.
        labels: The class names by output, of those that have some.
    """
    outputs = {output.name: joined(parts, output.name) for output in asked}
    for output in asked:
        if output.classes:
            array = outputs[output.name]
            names = labels.get(output.name, ())
            if config.max_batch_size:
                outputs[output.name] = best_classes(array, output.classes, names)
            else:
                (best,) = best_classes(array[np.newaxis], output.classes, names)
                outputs[output.name] = best
    return outputs
