"""The errors of the trainer.

TrainerError                 the command ends with exit code 1 and one `error:` line a problem
├── DatasetError             a dataset folder whose layout cannot be trained on
│   └── BadChannel           a channel that the job does not define as it is read (exit code 2)
├── BadImages                pictures that cannot be used, all of them listed
├── WeightsUnavailable       weights that cannot be had from a hub or a folder
├── CheckpointError          a checkpoint that is missing, incomplete or not of this trainer
├── RunConflict              an output folder that belongs to another run (exit code 2)
├── RunBusy                  an output folder that another process is training in
├── RunUnwritable            an output folder that this user cannot write to (exit code 2)
├── Diverged                 a training whose weights are no numbers any more
├── ExportMismatch           an exported graph that disagrees with the model it came from
├── PrecisionLoss            a quantised graph that loses more than is allowed
├── HardwareError            a precision that this machine cannot compute in (exit code 2)
├── AcceleratorMissing       a machine that cannot build engines (exit code 2)
├── EnginesMissing           engines of a published version that could not be built
├── EndpointError            a running endpoint that cannot be reached or answers otherwise
├── ArchiveError             a model.tar.gz that cannot be unpacked
├── ArchitectureMismatch     a model in the `model` channel that is none of the job's (exit code 2)
├── ChannelError             a `model` channel with nothing to train further (exit code 2)
├── JobConflict              a checkpoint folder of another training job (exit code 2)
├── HostsApart               hosts of a training that did not meet at the first one
├── PeersLost                a training whose other processes are gone
└── ProcessLost              a process of this host that ended without a word

Stopped                      no error: the command was asked to end, and did (exit code 143)
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from contract.locations import Location

LISTED_PROBLEMS: Final = 50

_OTHER_WEIGHTS: Final = (
    "give a local checkpoint with --model DIR, or drop --pretrained to start from random weights"
)


def listed(lines: Sequence[str]) -> list[str]:
    """Lines of one kind, up to a limit and how many more there are."""
    rest = len(lines) - LISTED_PROBLEMS
    return [*lines[:LISTED_PROBLEMS], *([f"and {rest} more"] if rest > 0 else [])]


class TrainerError(Exception):
    """Root of the trainer's errors.

    Attributes:
        faults: What is wrong, one line each.
        advice: What to do about all of them; empty where each line says so itself.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, *faults: str, advice: str = "") -> None:
        self.faults, self.advice = faults, advice
        super().__init__("\n".join(self.problems))

    @property
    def problems(self) -> tuple[str, ...]:
        """All lines, the advice last."""
        return (*self.faults, *([self.advice] if self.advice else []))


class Stopped(BaseException):
    """The end that was asked for; no Exception, so that nothing that handles those holds it up."""

    exit_code: ClassVar[int] = 143  # what a shell says of a program that SIGTERM ended

    def __init__(self) -> None:
        super().__init__("stopped as asked; the same command goes on")


class DatasetError(TrainerError):
    """A dataset folder whose layout cannot be trained on."""


class BadChannel(DatasetError):
    """A channel that the job does not define as its algorithm reads it, whatever its data are."""

    exit_code = 2


class BadImages(TrainerError):
    """Pictures that cannot be used, all of them listed up to a limit."""

    def __init__(self, bad: Sequence[str], full_list: Path | None) -> None:
        rest = len(bad) - LISTED_PROBLEMS
        where = f"; all are in {full_list}" if full_list is not None else ""
        more = (f"and {rest} more{where}",) if rest > 0 else ()
        advice = (
            f"{len(bad)} bad files; remove or replace them, or skip them with --skip_bad_images"
        )
        super().__init__(*bad[:LISTED_PROBLEMS], *more, advice=advice)


class WeightsUnavailable(TrainerError):
    """Weights that cannot be had from a hub or a folder."""

    def __init__(self, source: str, reason: str, advice: str = _OTHER_WEIGHTS) -> None:
        self.source, self.reason = source, reason
        first_line = (reason.strip().splitlines() or ["no reason given"])[0]
        super().__init__(f"weights of {source} cannot be loaded: {first_line}; {advice}")


class CheckpointError(TrainerError):
    """A checkpoint that is missing, incomplete or not of this trainer."""

    def __init__(self, folder: Path, problem: str) -> None:
        super().__init__(f"checkpoint {folder}: {problem}")


class RunConflict(TrainerError):
    """An output folder that belongs to another run."""

    exit_code = 2

    def __init__(self, output_dir: Path, differences: Mapping[str, tuple[object, object]]) -> None:
        super().__init__(
            *(
                f"{name}: the run in {output_dir} has {old!r}, this command has {new!r}"
                for name, (old, new) in differences.items()
            ),
            advice="give another --output_dir, or --restart to delete that run and train anew",
        )


class RunBusy(TrainerError):
    """An output folder that another process is training in."""

    def __init__(self, output_dir: Path) -> None:
        super().__init__(
            f"{output_dir}: another process is training in this folder, which is for one at a time; "
            "wait until that one ends, or end it, or give another --output_dir"
        )


class RunUnwritable(TrainerError):
    """An output folder that this user cannot write to."""

    exit_code = 2

    def __init__(self, output_dir: Path, reason: str) -> None:
        super().__init__(
            f"{output_dir} cannot be written as uid {os.getuid()}: {reason}; let this user write to "
            "it, run as one that can, or give another --output_dir"
        )


class Diverged(TrainerError):
    """A training whose weights are no numbers any more."""

    def __init__(self, learning_rate: float) -> None:
        super().__init__(
            f"the training diverged: the weights are not finite; lower --learning_rate "
            f"(it is {learning_rate}) and train anew with --restart"
        )


class ExportMismatch(TrainerError):
    """An exported graph that disagrees with the model it came from."""

    def __init__(self, output: str, batch: int, difference: float, limit: float) -> None:
        super().__init__(
            f"the exported graph's {output} differs from the model's by {difference:.3g} at batch "
            f"size {batch}; the limit is {limit:.3g}; nothing was published"
        )


class HardwareError(TrainerError):
    """A precision that this machine cannot compute in."""

    exit_code = 2

    def __init__(self, precision: str, device: str, usable: Sequence[str]) -> None:
        super().__init__(
            f"precision: got {precision!r}, but {device} trains in {' or '.join(usable)}"
        )


class PrecisionLoss(TrainerError):
    """A quantised graph that loses more than is allowed."""

    def __init__(self, measured: str) -> None:
        super().__init__(
            f"{measured}; nothing was published: calibrate on more pictures with "
            "--calibration_pictures, or allow more with --max_precision_loss"
        )


class AcceleratorMissing(TrainerError):
    """A machine that cannot build engines."""

    exit_code = 2

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"tensorrt: {problem}; export on a machine like the one that will serve, with "
            "onnxruntime-gpu and tensorrt, or without --tensorrt"
        )


class EnginesMissing(TrainerError):
    """Engines of a published version that could not be built."""

    def __init__(self, version_dir: Location, reason: str) -> None:
        super().__init__(
            f"{version_dir} is published, but a server has to build its engines: {reason}"
        )


class EndpointError(TrainerError):
    """A running endpoint that cannot be reached or answers otherwise."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url}: {problem}")


class ArchiveError(TrainerError):
    """A model.tar.gz that cannot be unpacked."""

    def __init__(self, archive: Path, problem: str) -> None:
        super().__init__(
            f"{archive} cannot be unpacked: {problem}; expected a gzipped tar of plain files and "
            "folders, as a training job leaves it"
        )


class ArchitectureMismatch(TrainerError):
    """A model of the `model` channel that is none of the job's."""

    exit_code = 2

    def __init__(self, differences: Mapping[str, tuple[object, object]]) -> None:
        super().__init__(
            *(
                f"{name}: the model in the model channel has {found!r}, this job wants {wanted!r}"
                for name, (found, wanted) in differences.items()
            ),
            advice="a model is trained further as what it is: give the job the model's own values, "
            "or leave out the model channel",
        )


class ChannelError(TrainerError):
    """A `model` channel that holds nothing to train further."""

    exit_code = 2

    def __init__(self, folder: Path, problem: str, way_out: str = "") -> None:
        super().__init__(
            f"channel model: {folder} {problem}; expected the model.tar.gz of an "
            "`aperture-train train`, or what is in it, with its NAME/VERSION/checkpoint"
            + (f"; {way_out}" if way_out else "")
        )


class JobConflict(TrainerError):
    """A checkpoint folder of another training job."""

    exit_code = 2

    def __init__(self, differences: Sequence[str]) -> None:
        super().__init__(
            *differences,
            advice="give the job a checkpoint folder of its own, or --restart to delete what is in "
            "this one",
        )


class HostsApart(TrainerError):
    """Hosts of a training that did not meet at the first one."""

    def __init__(self, host: str, hosts: Sequence[str], port: int) -> None:
        super().__init__(
            f"host {host}: the {len(hosts)} hosts of this job did not meet at {hosts[0]}:{port}, for "
            "the reason in the log (event=no_rendezvous): start all of "
            f"{', '.join(listed(hosts))}, and let them reach that port, which nothing else may "
            "use (--master_port names another)"
        )


class PeersLost(TrainerError):
    """A training whose other processes are gone."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(
            f"host {host}: another process of this training is gone, whose own log and "
            f"output/failure say why: {reason}"
        )


class ProcessLost(TrainerError):
    """A process of this host that ended without a word."""

    def __init__(self, host: str, status: int) -> None:
        super().__init__(
            f"host {host}: a process of this training was ended from outside (torchrun's status "
            f"{status}), most often for want of memory: take a smaller batch or a larger machine; "
            "the log says more"
        )
