"""A version's file -> its sessions, opened with the best provider that runs it, and warmed up.

Each choice of contract/providers.py is opened and run; when one fails, the next is tried, and what
failed stands in the log and in the configuration's answer, unless the user forbids that.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from contract.accelerators import read_accelerators
from contract.choice import Asked, Choice, Model
from contract.engines import with_engine
from contract.errors import ContractError
from contract.model_config import ModelConfig
from contract.placement import Placement, place_instances
from contract.precision import read_guard, with_own_measurement
from contract.providers import choices
from contract.scheduling import read_scheduling
from contract.sessions import Launch, detect_machine, open_session
from contract.tuning import Tuning, read_tuning
from server.autocomplete import complete
from server.bound_run import BoundRun
from server.demands import Demand, place_demands
from server.errors import LoadError
from server.graph import read_graph
from server.graph_run import graph_run
from server.pinned import PinnedMemory
from server.runtime import Runtime
from server.sources import ModelFolder
from server.warm_up import Warmed, warm_up

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Started:
    """A version that runs.

    Attributes:
        choice: What it runs with.
        config: Its configuration, complete, with what there is to say of its execution.
        warmed: Its runs.
        demands: What each of its runs takes of the server's resources.
    """

    choice: Choice
    config: ModelConfig
    warmed: Warmed
    demands: tuple[Demand, ...] = ()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What is the same whichever choice is tried."""

    folder: ModelFolder
    number: int
    config: ModelConfig
    placement: Placement
    gpu_count: int
    tuning: Tuning
    runtime: Runtime

    @property
    def path(self) -> Path:
        """The version's model file."""
        return self.folder.model_file(self.number, self.config)

    def devices(self, choice: Choice) -> tuple[int, ...]:
        """The device of each instance; the CPU is 0."""
        on_cpu = (0,) * self.placement.instances
        return on_cpu if choice.runs_on_cpu else self.placement.gpus or (0,)

    def demands(self, choice: Choice) -> tuple[Demand, ...]:
        """What each instance takes of the server's resources."""
        gpus = 0 if choice.runs_on_cpu or not self.placement.on_gpu else self.gpu_count
        return place_demands(self.config, self.devices(choice), gpus)


def start(folder: ModelFolder, number: int, config: ModelConfig, runtime: Runtime) -> Started:
    """Open a version and warm it up with the first choice that can.

    Raises:
        LoadError: None can, or the first cannot and the user forbids others.
    """
    path = folder.model_file(number, config)
    machine = detect_machine()
    try:
        placement = place_instances(config, machine.gpus)
        tuning = read_tuning(config)
        config = with_own_measurement(config, folder.version_dir(number), path)
        guard = read_guard(config.parameters, path)
        model = Model(read_accelerators(config), placement, guard)
        chosen = choices(machine, model, Asked(runtime.provider, runtime.precision))
    except (ContractError, OSError) as err:
        raise LoadError(str(err)) from err
    attempt = _Attempt(folder, number, config, placement, machine.gpus, tuning, runtime)
    if runtime.limiter is not None:  # before the warm-up, which takes seconds
        runtime.limiter.check(attempt.demands(chosen[0]))
    if runtime.strict_accelerators and chosen[0].missing:
        raise LoadError(f"{chosen[0].missing} (--strict_accelerators)")
    return _first_that_runs(attempt, chosen)


def _first_that_runs(attempt: _Attempt, chosen: Sequence[Choice]) -> Started:
    failures = [chosen[0].missing] if chosen[0].missing else []
    for i, choice in enumerate(chosen):
        warnings = [*failures, choice.warning] if choice.warning else failures
        if warnings:
            where = (attempt.config.name, attempt.number, choice.provider)
            logger.warning("model=%s version=%d provider=%s: %s", *where, "; ".join(warnings))
        try:
            return _start(attempt, replace(choice, warning="; ".join(warnings)))
        except LoadError as err:
            if i + 1 == len(chosen):
                raise
            if attempt.runtime.strict_accelerators:
                raise LoadError(f"{choice.provider}: {err} (--strict_accelerators)") from err
            failures.append(f"{choice.provider} failed: {err}")
    raise AssertionError("nothing was chosen")


def _start(attempt: _Attempt, choice: Choice) -> Started:
    config, runtime, folder = attempt.config, attempt.runtime, attempt.folder
    devices = attempt.devices(choice)
    threads = max(1, runtime.threads // len(devices))
    version_dir = folder.version_dir(attempt.number)
    try:
        choice = with_engine(choice, config, version_dir, runtime.engine_cache_dir)
        launches = [
            Launch(attempt.path, choice, threads, device, attempt.tuning) for device in devices
        ]
        session = open_session(launches[0])
        graph = read_graph(session)
        if choice.provider == "openvino" and graph.has_strings:
            # Its plug-in would end the process at the first run.
            raise LoadError(f"{attempt.path}: OpenVINO has no tensors of strings")
        config = complete(config, graph, attempt.path)
        scheduling = read_scheduling(config)
        sessions = [session, *(open_session(launch) for launch in launches[1:])]
        runs = [
            graph_run(one, config, None if choice.runs_on_cpu else BoundRun(PinnedMemory(device)))
            for one, device in zip(sessions, devices, strict=True)
        ]
    except ContractError as err:
        raise LoadError(str(err)) from err
    warmed = warm_up(runs, config, scheduling, folder.path)
    shown = config.with_parameters(_parameters(choice, warmed))
    return Started(choice, shown, warmed, attempt.demands(choice))


def _parameters(choice: Choice, warmed: Warmed) -> dict[str, str]:
    """What the configuration's answer shows of the execution."""
    shown = {
        "execution_provider": choice.provider,
        "execution_precision": choice.precision,
        "execution_reason": choice.reason,
        **warmed.parameters(),
    }
    return {**shown, "execution_warning": choice.warning} if choice.warning else shown
