"""`aperture-train`: the one file that reads the command line and the environment.

Options come from flags, then from a file (`--hyperparameters FILE`), then from the environment,
then from the defaults. Whatever needs torch is imported once the options are known to be good,
so that a mistyped flag is answered at once.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from contract.cgroup import cpu_limit
from contract.errors import ContractError, OptionsError
from contract.hardware import available_cpus
from contract.locations import parse_path
from contract.options import (
    OptionRow,
    Options,
    add_flags,
    build,
    describe,
    given_environment,
    given_flags,
    unknown_name,
)
from trainer.classification_hyperparameters import ClassificationHyperparameters
from trainer.easymaker import Container, prepare, read_container
from trainer.errors import Stopped, TrainerError
from trainer.hyperparameters import Hyperparameters
from trainer.sagemaker.given import Given
from trainer.sagemaker.settings import TrainSettings
from trainer.settings import EvaluateSettings, ExportSettings, FitSettings, SampleDataSettings
from trainer.stopping import stopping_on_sigterm
from trainer.tasks import TASKS
from trainer.version import trainer_version

HYPERPARAMETER_PREFIX: Final = "APERTURE_HP_"
SETTING_PREFIX: Final = "APERTURE_"
COMMANDS: Final[dict[str, tuple[type[Options], str]]] = {
    "fit": (FitSettings, "train on a dataset folder, evaluate, export and publish"),
    "train": (TrainSettings, "train as SageMaker's containers do, on /opt/ml"),
    "export": (ExportSettings, "export a checkpoint and publish it"),
    "evaluate": (EvaluateSettings, "metrics of a checkpoint, a published version or an endpoint"),
    "sample-data": (SampleDataSettings, "draw a small dataset to try things with"),
}

_INTERRUPTED = 130

_SettingsT = TypeVar("_SettingsT", bound=Options)


def main() -> None:
    """Entry point of `aperture-train`."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported
    if cpu_limit() is not None:  # torch counts the node's cores; torchrun and users may say more
        os.environ.setdefault("OMP_NUM_THREADS", str(available_cpus()))
    with stopping_on_sigterm():  # the first process of a container is not ended by it otherwise
        code = run(sys.argv[1:], os.environ)
    if os.environ.get("RANK", "0") != "0":
        _leave(code)
    sys.exit(code)


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command and return its exit code.

    0, or 1 for what went wrong, 2 for bad options, 130 and 143 where SIGINT and SIGTERM ended it.
    """
    is_main = environ.get("RANK", "0") == "0"  # torchrun's; the others stay silent
    logging.basicConfig(
        level=logging.INFO if is_main else logging.ERROR,
        format="%(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("httpx", "onnxscript", "onnx_ir", "torch", "aiobotocore", "botocore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        text = _dispatch(argv, environ)
    except (OptionsError, TrainerError) as err:
        return _fail(err.problems, err.exit_code, show=is_main)
    except ContractError as err:
        return _fail(str(err).splitlines(), 1, show=is_main)
    except OSError as err:  # a folder that cannot be written, a disk that is full
        return _fail([str(err)], 1, show=is_main)
    except KeyboardInterrupt:
        return _fail(["interrupted; the same command goes on"], _INTERRUPTED, show=is_main)
    except Stopped as stop:
        return _fail([str(stop)], stop.exit_code, show=is_main)
    if is_main and text:
        print(text)
    return 0


def option_tables() -> dict[str, list[OptionRow]]:
    """Title -> options, for the documentation: the hyperparameters of each task, then commands."""
    hyperparameters = {
        f"{name} hyperparameters": describe(entry.hyperparameters) for name, entry in TASKS.items()
    }
    commands = {f"aperture-train {name}": describe(model) for name, (model, _) in COMMANDS.items()}
    return hyperparameters | commands


def _leave(code: int) -> NoReturn:
    """End a process of several that is not the first without Python's own end.

    It ends right behind the last collective call. A thread of gloo's that still has the tensors of that
    one asks for the interpreter, and where that is ending, the process is aborted; the other hosts'
    torchrun then waits for this one's for minutes.

    Source: https://github.com/pytorch/pytorch/pull/179291, whose own mend was given up
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        raise OptionsError([message])


def _dispatch(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    parser = _parser(_hyperparameters_of(_named_task(argv, environ)))
    namespace, rest = parser.parse_known_args(argv)
    if namespace.command == "train":
        return _train(namespace, rest, argv, environ)
    _refuse_unknown(rest, namespace)
    match namespace.command:
        case "fit":
            container = read_container(environ)
            settings = _settings(FitSettings, namespace, environ, container)
            wanted = _hyperparameters(settings, namespace, environ, container)
            if container is not None:
                prepare(container)
            from trainer import commands  # noqa: PLC0415 - torch, only for good options

            return commands.fit_command(settings, wanted)
        case "export":
            export = _settings(ExportSettings, namespace, environ)
            from trainer.export_command import export_command  # noqa: PLC0415 - as above

            return export_command(export)
        case "evaluate":
            evaluate = _settings(EvaluateSettings, namespace, environ)
            from trainer import commands  # noqa: PLC0415 - as above

            return commands.evaluate_command(evaluate)
        case _:
            sample = _settings(SampleDataSettings, namespace, environ)
            from trainer.sample_data import sample_data_command  # noqa: PLC0415 - as above

            return sample_data_command(namespace.dir, sample)


def _train(
    namespace: argparse.Namespace,
    rest: Sequence[str],
    argv: Sequence[str],
    environ: Mapping[str, str],
) -> str:
    """`train`, whose hyperparameters are flags by SageMaker's names."""
    from trainer.sagemaker.train import train  # noqa: PLC0415 - what no other command needs

    layers = (
        given_flags(namespace, TrainSettings),
        given_environment(environ, SETTING_PREFIX, TrainSettings),
    )
    return train(layers, Given(namespace.hyperparameters, rest), argv, environ)


def _named_task(argv: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """The task that the command is for, whose hyperparameters are flags; checked later."""
    peek = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    by_variable = environ.get(f"{SETTING_PREFIX}TASK", environ.get("EM_HP_TASK"))
    peek.add_argument("--task", default=by_variable)
    task: str | None = peek.parse_known_args(argv)[0].task
    return task


def _hyperparameters_of(task: str | None) -> type[Hyperparameters]:
    for name, entry in TASKS.items():
        if name == task:
            return entry.hyperparameters
    return ClassificationHyperparameters


def _parser(hyperparameters: type[Hyperparameters]) -> argparse.ArgumentParser:
    parser = _Parser(prog="aperture-train", description="Train, export and evaluate vision models.")
    parser.add_argument("--version", action="version", version=trainer_version())
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (model, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        add_flags(command, model, "options")
        if name == "fit":
            add_flags(command, hyperparameters, "hyperparameters of the --task")
        if name in ("fit", "train"):
            command.add_argument(
                "--hyperparameters", type=Path, metavar="FILE", help="flat JSON object of them"
            )
        if name == "sample-data":
            command.add_argument(
                "dir", type=_local_path, metavar="DIR", help="dataset folder to write"
            )
    return parser


def _local_path(text: str) -> Path:
    try:
        return Path(str(parse_path(text)))
    except ValueError as err:
        raise argparse.ArgumentTypeError(str(err)) from err


def _refuse_unknown(rest: Sequence[str], namespace: argparse.Namespace) -> None:
    """Raise OptionsError with the nearest known name for each flag that argparse left over."""
    known = [name for name in vars(namespace) if name not in ("command", "dir")]
    flags = [word[2:].partition("=")[0] for word in rest if word.startswith("--")]
    problems = [unknown_name(flag, known) for flag in flags]
    if rest:
        raise OptionsError(problems or [f"unexpected argument {word!r}" for word in rest])


def _settings(
    model: type[_SettingsT],
    namespace: argparse.Namespace,
    environ: Mapping[str, str],
    container: Container | None = None,
) -> _SettingsT:
    return build(
        model,
        given_flags(namespace, model),
        given_environment(environ, SETTING_PREFIX, model),
        {} if container is None else container.settings(),
    )


def _hyperparameters(
    settings: FitSettings,
    namespace: argparse.Namespace,
    environ: Mapping[str, str],
    container: Container | None,
) -> Hyperparameters:
    model = TASKS[settings.task].hyperparameters
    return build(
        model,
        given_flags(namespace, model),
        _read_file(namespace.hyperparameters),
        {
            variable.removeprefix(HYPERPARAMETER_PREFIX).lower(): value
            for variable, value in environ.items()
            if variable.startswith(HYPERPARAMETER_PREFIX)
        },
        {} if container is None else container.hyperparameters(),
    )


def _read_file(path: Path | None) -> dict[str, object]:
    if path is None:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise OptionsError([f"hyperparameters: {path} cannot be read: {err}"]) from err
    if not isinstance(values, dict):
        raise OptionsError([f"hyperparameters: {path} holds no JSON object of names and values"])
    return values


def _fail(problems: Sequence[str], exit_code: int, *, show: bool) -> int:
    if show:
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)
    return exit_code
