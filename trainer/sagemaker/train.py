"""`aperture-train train`: a SageMaker container's folders -> a trained model in its model folder.

    input/config --read--> container --parse--> the algorithm's own hyperparameters
        one process:               job.py, in this one
        several GPUs or hosts:     torchrun starts this command once for each, and this one waits

What can be wrong with the job's own words is found here, before torch is imported. The price of
several processes is that each reads them again.
"""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final

from contract.errors import OptionsError
from contract.locations import parse_path
from contract.options import build
from trainer.errors import HostsApart, PeersLost, ProcessLost, Stopped, TrainerError
from trainer.files import check_folder_writable
from trainer.sagemaker.algorithms import ALGORITHMS
from trainer.sagemaker.archive import check_archive
from trainer.sagemaker.channel_names import refuse_slips
from trainer.sagemaker.container import read_container
from trainer.sagemaker.failure import outcome
from trainer.sagemaker.folders import BASE_DIR, Folders
from trainer.sagemaker.given import Given
from trainer.sagemaker.hosts import check_interface, torchrun, variables
from trainer.sagemaker.incremental import MODEL_CHANNEL, Architecture, starting_checkpoint
from trainer.sagemaker.launch import NO_MEETING, leave_status, left_status, run_processes
from trainer.sagemaker.settings import TrainSettings
from trainer.sagemaker.training_job import TrainingJob
from trainer.stopping import StopRequest, stopping_on_sigterm

LOCAL_RANK: Final = "LOCAL_RANK"
"""torchrun's number of a process on its host: set in those that it started alone."""

_BASE_DIR: Final = "SAGEMAKER_BASE_DIR"

logger = logging.getLogger(__name__)


def train(
    layers: Sequence[Mapping[str, object]],
    given: Given,
    argv: Sequence[str],
    environ: Mapping[str, str],
) -> str:
    """Run a training job.

    Args:
        layers: What is given for the options, the first winning.
        given: Hyperparameters that win over those of the container's file.
        argv: The command line, for further processes of it.
        environ: The variables.

    Returns:
        What the command prints: the metrics and where the model is.

    Raises:
        OptionsError: The job's words cannot be used.
        TrainerError: It cannot be trained.
        SystemExit: Processes that this one started ended with this status, and said why.
        Stopped: SIGTERM asked for it; the same job goes on.
    """
    places = [{"base_dir": environ[_BASE_DIR]}] if environ.get(_BASE_DIR) else []
    base_dirs = [layer["base_dir"] for layer in (*layers, *places) if "base_dir" in layer]
    folders = Folders(_path(base_dirs[0]) if base_dirs else BASE_DIR)
    # A host's first process says what came of it.
    leaves_word = environ.get(LOCAL_RANK, "0") == "0"
    with outcome(folders) if leaves_word else nullcontext(), stopping_on_sigterm() as stop:
        settings = build(TrainSettings, *layers, *places)
        with _workspace(settings.workspace) as workspace:
            job = _read_job(settings, given, workspace)
            if LOCAL_RANK in environ:
                with _status_left(job) if leaves_word else nullcontext():
                    return _run(job, int(environ["LOCAL_WORLD_SIZE"]), stop)
            processes = settings.processes or _gpus() or 1
            if job.container.hosts.count * processes == 1:
                return _run(job, processes, stop)
            _launch(job, processes, argv, environ)
            return ""


def _path(given: object) -> Path:
    """A folder as it is given; where the options refuse it, there is no container there."""
    with suppress(ValueError):
        given = parse_path(given)
    return Path(str(given))


def _run(job: TrainingJob, processes: int, stop: StopRequest) -> str:
    from trainer.sagemaker.job import run_job  # noqa: PLC0415 - torch, only for good options

    return run_job(job, processes, stop)


def _gpus() -> int:
    from torch.cuda import device_count  # noqa: PLC0415 - as above

    return device_count()


def _read_job(settings: TrainSettings, given: Given, workspace: Path) -> TrainingJob:
    folders = Folders(settings.base_dir)
    container = read_container(folders)
    channel = container.channels.get(MODEL_CHANNEL)
    values = {**container.hyperparameters, **given.values()}
    asked = ALGORITHMS[settings.algorithm].parse(values, further=channel is not None)
    refuse_slips(container.channels, settings.algorithm, asked.channels)
    if settings.archive is not None and container.hosts.rank == 0:
        check_archive(folders.model, settings.archive)
    check_folder_writable(folders.output_data)
    architecture = Architecture(algorithm=settings.algorithm, values=asked.architecture())
    start = None
    if channel is not None:
        start = starting_checkpoint(channel.folder, workspace, architecture)
        if start is None and (faults := asked.pretrained_faults()):
            raise OptionsError(faults)
    return TrainingJob(settings, folders, container, asked, architecture, workspace, start)


def _launch(
    job: TrainingJob, processes: int, argv: Sequence[str], environ: Mapping[str, str]
) -> None:
    """Run this host's processes.

    Raises:
        OptionsError: The network interface between the hosts is none of this one's.
        HostsApart: The hosts did not meet, so there were no processes.
        ProcessLost: One of them ended without a word.
        Stopped: They were told to end before they had begun.
        SystemExit: The first of them said why it ended with this status.
    """
    hosts, workspace, port = job.container.hosts, job.workspace, job.settings.master_port
    check_interface(hosts, environ)
    command = torchrun(hosts, processes, port, [*argv, f"--workspace={workspace}"])
    leave_status(workspace, None)
    if hosts.count > 1:  # torchrun says nothing where it waits in vain, for minutes
        logger.info(
            "event=rendezvous host=%s at=%s:%d hosts=%d",
            *(hosts.current, hosts.master, port, hosts.count),
        )
    ended = run_processes(command, {**environ, **variables(hosts, environ)})
    if ended.status == 0:
        return
    status = left_status(workspace)
    if status is None and ended.was_told:
        raise Stopped
    if ended.status == NO_MEETING:
        raise HostsApart(hosts.current, hosts.names, port)
    # Where one is lost, torchrun stops the others; but those of several hosts agree to stop, too.
    was_stopped = ended.was_told or hosts.count > 1
    if status is None or (status == Stopped.exit_code and not was_stopped):
        raise ProcessLost(hosts.current, ended.status)
    raise SystemExit(status)


@contextmanager
def _status_left(job: TrainingJob) -> Iterator[None]:
    """Leave the status that this process ends with where its launcher finds it.

    Not where another process of this host was lost: the launcher knows better why.
    """
    try:
        yield
    except PeersLost:
        if job.container.hosts.count > 1:
            leave_status(job.workspace, PeersLost.exit_code)
        raise
    except (OptionsError, TrainerError, Stopped) as err:
        leave_status(job.workspace, err.exit_code)
        raise
    except Exception:
        leave_status(job.workspace, 1)
        raise


@contextmanager
def _workspace(given: Path | None) -> Iterator[Path]:
    """The folder that was given, or a temporary one."""
    if given is None:
        with tempfile.TemporaryDirectory(prefix="aperture-train-") as folder:
            yield Path(folder)
    else:
        given.mkdir(parents=True, exist_ok=True)
        yield given
