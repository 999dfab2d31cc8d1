"""A version's folder -> a loaded, checked and warmed-up `Version`.

`load_version` does the blocking work (open, complete, check, warm up) and belongs in a thread.
"""

import logging
from dataclasses import replace
from pathlib import Path

from contract.model_config import ModelConfig
from server.autocomplete import check_origin
from server.config_fields import warnings_of
from server.errors import LoadError
from server.execution import Execution
from server.output_labels import read_output_labels
from server.runtime import Runtime
from server.sources import ModelFolder
from server.start import Started, start
from server.tasks import TASKS
from server.version import Version

logger = logging.getLogger(__name__)


def load_version(
    folder: ModelFolder, number: int, config: ModelConfig, runtime: Runtime
) -> Version:
    """Open, check and warm up a version; blocks for as long as that takes.

    Args:
        folder: The model's folder.
        number: The version.
        config: What the model's configuration says; the rest is completed from the graph.
        runtime: How it is to be run.

    Raises:
        LoadError: It cannot be served; the message says why.
    """
    check_origin(config)
    for warning in warnings_of(config):
        logger.warning("model=%s version=%d: %s", config.name, number, warning)
    if config.task:
        _check_picture_model(folder.path, config)
    started = start(folder, number, config, runtime)
    choice, config = started.choice, started.config
    labels = read_output_labels(folder.path, config)
    execution = _limited(started, runtime)
    try:
        version = Version(number, config, labels, execution, runtime)
    except Exception:
        for permit in execution.permits:
            permit.leave()
        raise
    logger.info(
        "loaded model=%s version=%d provider=%s precision=%s reason=%s",
        *(config.name, number, choice.provider, choice.precision, choice.reason),
    )
    if version.statistics.cached and runtime.response_cache is None:
        logger.warning(
            "model=%s version=%d asks for the response cache, which the server was not given; "
            "start it with --cache_config local,size=BYTES",
            *(config.name, number),
        )
    return version


def _limited(started: Started, runtime: Runtime) -> Execution:
    """Its runs, each with its permit if any of them shares resources with others."""
    execution = started.warmed.execution
    if runtime.limiter is None or not any(demand.needs for demand in started.demands):
        return execution
    return replace(execution, permits=runtime.limiter.join(started.demands))


def _check_picture_model(model_dir: Path, config: ModelConfig) -> None:
    """Refuse a configuration with a task that does not describe a model of pictures."""
    if config.task not in TASKS:
        raise LoadError(
            f"{model_dir}: parameter task is {config.task!r}; expected one of {', '.join(TASKS)}"
        )
    if config.max_batch_size < 1:
        raise LoadError(
            f"{model_dir}: max_batch_size is {config.max_batch_size}; expected 1 or more"
        )
    if not config.outputs:
        raise LoadError(f"{model_dir}: config.pbtxt describes no output")
    if not config.inputs or config.inputs[0].datatype != "UINT8":
        raise LoadError(f"{model_dir}: the first input of config.pbtxt is not a UINT8 picture")
    dims = config.inputs[0].dims
    if len(dims) != 3 or min(dims) < 1 or dims[2] != 3:
        raise LoadError(f"{model_dir}: the picture's dims are {list(dims)}; expected [H, W, 3]")
