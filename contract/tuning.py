"""How onnxruntime is to run a model: what Triton's onnxruntime backend reads from config.pbtxt.

Source: https://github.com/triton-inference-server/onnxruntime_backend#model-config-options
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import onnxruntime as ort

from contract.model_config import ModelConfig

MOST_THREADS: Final = 1024
"""Threads that a configuration, which a load request may bring, can ask for."""

_LEVELS: Final[Mapping[int, ort.GraphOptimizationLevel]] = {
    -1: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_BOOLS: Final = {"1": True, "true": True, "0": False, "false": False}
_DEVICE_ALLOCATOR: Final = "session.use_device_allocator_for_initializers"


@dataclass(frozen=True, slots=True)
class Tuning:
    """How onnxruntime is to run a model.

    Attributes:
        graph_level: Optimisations of the graph: -1 basic, 1 extended, 2 none, any other all.
        intra_op_threads: Threads of a node; 0: as the server was told.
        inter_op_threads: Threads of nodes that run at once; 0: as many.
        parallel: Whether nodes of different branches run at once.
        mem_arena: Whether memory is kept in an arena; None: onnxruntime's default.
        mem_pattern: Whether a run's memory is planned from the last one's; None as well.
        device_allocator: Whether weights are allocated outside the arena; None as well.
    """

    graph_level: int = 0
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    parallel: bool = False
    mem_arena: bool | None = None
    mem_pattern: bool | None = None
    device_allocator: bool | None = None

    def threads(self, default: int) -> int:
        """Threads of a node, where the server was told `default`."""
        return self.intra_op_threads or default

    def apply(self, options: ort.SessionOptions, threads: int) -> None:
        """Set what it says; `threads` are those that the server was told."""
        options.intra_op_num_threads = self.threads(threads)
        if self.graph_level in _LEVELS:
            options.graph_optimization_level = _LEVELS[self.graph_level]
        if self.parallel:
            options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
            options.inter_op_num_threads = self.inter_op_threads or threads
        if self.mem_arena is not None:
            options.enable_cpu_mem_arena = self.mem_arena
        if self.mem_pattern is not None:
            options.enable_mem_pattern = self.mem_pattern
        if self.device_allocator is not None:
            options.add_session_config_entry(_DEVICE_ALLOCATOR, str(int(self.device_allocator)))


def read_tuning(config: ModelConfig) -> Tuning:
    """Read how onnxruntime is to run a model.

    Raises:
        ConfigError: A parameter has a value that Triton's backend refuses, or asks for too much.
    """
    message: Any = config.message  # its class is generated, without types
    mode = _number(config, "execution_mode")
    if mode not in (0, 1):
        raise config.refusal(
            "Invalid configuration value provided. Expected values for execution_mode are 0 or 1 "
            f"but got {mode} ."
        )
    return Tuning(
        graph_level=message.optimization.graph.level,
        intra_op_threads=_threads(config, "intra_op_thread_count"),
        inter_op_threads=_threads(config, "inter_op_thread_count"),
        parallel=mode == 1,
        mem_arena=_switch(config, "enable_mem_arena"),
        mem_pattern=_switch(config, "enable_mem_pattern"),
        device_allocator=_switch(config, _DEVICE_ALLOCATOR),
    )


def _threads(config: ModelConfig, name: str) -> int:
    count = _number(config, name)
    if count > MOST_THREADS:
        raise config.refusal(f"parameter {name} is {count}; expected up to {MOST_THREADS}")
    return max(0, count)  # Triton takes what is below 0 as open, too


def _number(config: ModelConfig, name: str) -> int:
    text = config.parameters.get(name, "0")
    try:
        return int(text)
    except ValueError as err:
        raise config.refusal(f"parameter {name} is {text!r}; expected a whole number") from err


def _switch(config: ModelConfig, name: str) -> bool | None:
    text = config.parameters.get(name)
    if text is None:
        return None
    if text.lower() not in _BOOLS:
        raise config.refusal(f"parameter {name} is {text!r}; expected 1, 0, true or false")
    return _BOOLS[text.lower()]
