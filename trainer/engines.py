"""TensorRT's engines, built ahead on a machine with the GPU that will serve.

A published version is opened and run as the server does it, so that the server finds the engines in
the version's folder.
"""

import logging
from pathlib import Path

from contract.accelerators import read_accelerators
from contract.choice import Choice, Machine, Model
from contract.engines import with_engine
from contract.hardware import available_cpus
from contract.model_config import MODEL_FILE, ModelConfig, read_model_config
from contract.placement import place_instances
from contract.precision import read_guard, with_own_measurement
from contract.providers import choices
from contract.scheduling import read_scheduling
from contract.sessions import Launch, detect_machine, open_session
from trainer.errors import AcceleratorMissing
from trainer.export import random_inputs
from trainer.tasks.task import Task

logger = logging.getLogger(__name__)


def check_tensorrt(machine: Machine | None = None) -> None:
    """Refuse to build engines where they cannot be built, before anything is exported.

    Raises:
        AcceleratorMissing: There is no GPU, or onnxruntime was built without TensorRT.
    """
    machine = machine or detect_machine()
    if not machine.gpus:
        raise AcceleratorMissing("there is no CUDA device with onnxruntime-gpu here")
    if not machine.has_tensorrt:
        raise AcceleratorMissing("this onnxruntime was built without TensorRT")


def build_engines(task: Task, version_dir: Path) -> Choice:
    """Build the engines of a published version whose config.pbtxt names tensorrt.

    Returns:
        What a server on this machine will run the version with.

    Raises:
        ContractError: A session cannot be opened, or the configuration cannot be used.
    """
    path = version_dir / MODEL_FILE
    config = with_own_measurement(read_model_config(version_dir.parent), version_dir, path)
    machine = detect_machine()
    placement = place_instances(config, machine.gpus)
    model = Model(read_accelerators(config), placement, read_guard(config.parameters, path))
    choice = with_engine(choices(machine, model)[0], config, version_dir, None)
    for device in sorted(set(placement.gpus)):
        session = open_session(Launch(path, choice, available_cpus(), device))
        for size in profile_sizes(config):
            session.run(None, random_inputs(task, config, size))
            logger.info("event=built_engine device=%d batch=%d", device, size)
    return choice


def profile_sizes(config: ModelConfig) -> list[int]:
    """The batch sizes of the engines' profile: the smallest, the preferred ones and the largest."""
    dynamic = read_scheduling(config).dynamic_batching
    preferred = dynamic.preferred_batch_sizes if dynamic is not None else ()
    return sorted({1, *preferred, config.max_batch_size})
