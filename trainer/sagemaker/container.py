"""A SageMaker container's configuration -> hyperparameters, channels and hosts: read, not acted on.

    input/config/hyperparameters.json    {"NAME": "VALUE"}, every value a text
    input/config/inputdataconfig.json    {"CHANNEL": {"ContentType", "TrainingInputMode", ...}}
    input/config/resourceconfig.json     {"current_host", "hosts", "network_interface_name"}

None of them has to be there: outside of SageMaker the hyperparameters may come as flags, the
channels are the folders below input/data, and there is one host. Which channels there have to be is
known to the algorithm, not here.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contract.errors import OptionsError
from contract.options import shown
from trainer.sagemaker.channel import Channel
from trainer.sagemaker.folders import Folders
from trainer.sagemaker.hosts import ONE_HOST, Hosts

HYPERPARAMETERS_FILE: Final = "hyperparameters.json"
CHANNELS_FILE: Final = "inputdataconfig.json"
HOSTS_FILE: Final = "resourceconfig.json"
LARGEST_FILE: Final = 4 << 20
"""Bytes of a configuration file; SageMaker itself allows 100 hyperparameters of 2500 characters."""

_LOST: Final = "lost+found"
"""The folder that a new file system has, and so the volume that is mounted as the data."""

_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_INTERFACE = re.compile(r"[A-Za-z0-9._-]{0,15}")
_RESERVED: Final = ("sagemaker_", "_tuning_objective_metric")


@dataclass(frozen=True, slots=True)
class Container:
    """What a training container is told.

    Attributes:
        hyperparameters: The algorithm's hyperparameters, all of them text.
        channels: The job's inputs by name.
        hosts: The machines of the job.
    """

    hyperparameters: Mapping[str, str]
    channels: Mapping[str, Channel]
    hosts: Hosts


class _ChannelConfig(BaseModel):
    """A channel in inputdataconfig.json; what else it says is of no use in a container.

    A field's description is what is expected of it.
    """

    model_config = ConfigDict(frozen=True)

    content_type: str | None = Field(
        default=None, alias="ContentType", description="a text such as 'application/x-image'"
    )
    input_mode: str = Field(
        default="File", alias="TrainingInputMode", description="'File', 'FastFile' or 'Pipe'"
    )
    wrapper: str | None = Field(
        default=None, alias="RecordWrapperType", description="'None' or 'RecordIO'"
    )
    attribute_names: tuple[str, ...] = Field(
        default=(),
        alias="AttributeNames",
        description="a list of texts such as ['source-ref', 'class']",
    )
    distribution: str = Field(
        default="FullyReplicated",
        alias="S3DistributionType",
        description="'FullyReplicated', or on one host 'ShardedByS3Key'",
    )


class _HostsConfig(BaseModel):
    """resourceconfig.json; its instance types and groups change nothing."""

    model_config = ConfigDict(frozen=True)

    current_host: str = Field(pattern=_HOST, description="the name of one of hosts")
    hosts: tuple[str, ...] = Field(
        min_length=1, description="a list of names of hosts such as ['algo-1', 'algo-2']"
    )
    network_interface_name: str = Field(
        default="",
        pattern=rf"^{_INTERFACE.pattern}$",
        description="the name of a network interface such as 'eth0'",
    )


_ConfigT = TypeVar("_ConfigT", bound=BaseModel)


def read_container(folders: Folders) -> Container:
    """Read the configuration of the container whose folders these are.

    Raises:
        OptionsError: A file of it cannot be read, or says what cannot be.
    """
    hosts = _read_hosts(folders.config / HOSTS_FILE)
    return Container(
        hyperparameters=read_hyperparameters(folders.config / HYPERPARAMETERS_FILE),
        channels=_read_channels(folders, hosts),
        hosts=hosts,
    )


def read_hyperparameters(path: Path) -> dict[str, str]:
    """The hyperparameters in a flat JSON file, as text; those of SageMaker's own tools left out.

    Raises:
        OptionsError: The file cannot be read, or a value is no text, number or truth value.
    """
    values = _read_object(path)
    faults = [
        f"{name}: got {shown(value)}, expected a text, as every value of {path} is"
        for name, value in values.items()
        if not isinstance(value, str | int | float)
    ]
    if faults:
        raise OptionsError(faults)
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        if not name.startswith(_RESERVED)
    }


def _read_channels(folders: Folders, hosts: Hosts) -> dict[str, Channel]:
    path = folders.config / CHANNELS_FILE
    configs = {
        name: _validated(_ChannelConfig, value, f"{path}: channel {name}")
        for name, value in _read_object(path).items()
    }
    if not path.is_file() and folders.data.is_dir():
        configs = {
            folder.name: _ChannelConfig()
            for folder in sorted(folders.data.iterdir())
            if folder.is_dir() and not folder.name.startswith(".") and folder.name != _LOST
        }
    faults = [
        fault for name, config in configs.items() for fault in _faults(name, config, folders, hosts)
    ]
    if faults:
        raise OptionsError(faults)
    return {name: _channel(name, config, folders) for name, config in configs.items()}


def _faults(name: str, config: _ChannelConfig, folders: Folders, hosts: Hosts) -> list[str]:
    """What is wrong with a channel, one line each."""
    if not _CHANNEL.fullmatch(name):
        return [
            f"channel {name!r}: expected up to 64 letters, digits, '.', '_' and '-', the first a "
            "letter or digit"
        ]
    faults = []
    if config.input_mode not in ("File", "FastFile", "Pipe"):
        faults.append(
            f"channel {name}: got TrainingInputMode {config.input_mode!r}, expected File, FastFile "
            "or Pipe"
        )
    elif config.input_mode != "Pipe" and not (folders.data / name).is_dir():
        faults.append(f"channel {name}: {folders.data / name} is no folder; put its files there")
    if config.wrapper not in (None, "None", "RecordIO"):
        faults.append(
            f"channel {name}: got RecordWrapperType {config.wrapper!r}, expected None or RecordIO"
        )
    if hosts.count > 1 and config.distribution != "FullyReplicated":
        faults.append(
            f"channel {name}: got S3DistributionType {config.distribution!r} on {hosts.count} hosts, "
            "expected FullyReplicated: each host has to get all of the data, and trains on its share"
        )
    return faults


def _channel(name: str, config: _ChannelConfig, folders: Folders) -> Channel:
    return Channel(
        name=name,
        folder=folders.data / name,
        content_type=config.content_type,
        pipe=config.input_mode == "Pipe",
        recordio_wrapper=config.wrapper == "RecordIO",
        attribute_names=config.attribute_names,
    )


def _read_hosts(path: Path) -> Hosts:
    if not path.is_file():
        return ONE_HOST
    config = _validated(_HostsConfig, _read_object(path), str(path))
    if bad := [host for host in config.hosts if not _HOST.fullmatch(host)]:
        raise OptionsError([f"{path}: hosts: got {shown(bad[0])}, expected the name of a host"])
    if config.current_host not in config.hosts:
        raise OptionsError(
            [
                f"{path}: current_host: got {config.current_host!r}, expected one of hosts, "
                f"{', '.join(config.hosts)}"
            ]
        )
    return Hosts(
        config.current_host, tuple(sorted(set(config.hosts))), config.network_interface_name
    )


def _validated(model: type[_ConfigT], value: object, where: str) -> _ConfigT:
    """The value as a model; what is null in it is not there.

    Raises:
        OptionsError: A field is missing or has another type, a line each.
    """
    expected = {
        field.alias or name: field.description for name, field in model.model_fields.items()
    }
    if not isinstance(value, dict):
        names = ", ".join(expected)
        raise OptionsError([f"{where}: got {shown(value)}, expected a JSON object with {names}"])
    present = {name: one for name, one in value.items() if one is not None}
    try:
        return model.model_validate(present)
    except ValidationError as err:
        wrong = dict.fromkeys(str(detail["loc"][0]) for detail in err.errors())
        raise OptionsError(
            [f"{where}: {name}: {_got(present, name)} expected {expected[name]}" for name in wrong]
        ) from err


def _got(present: Mapping[str, object], name: str) -> str:
    return f"got {shown(present[name])}," if name in present else "required, but not given;"


def _read_object(path: Path) -> dict[str, object]:
    """The JSON object in a file; empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE + 1)
        values = json.loads(text) if len(text) <= LARGEST_FILE else None
    except (OSError, ValueError, RecursionError) as err:
        raise OptionsError([f"{path} cannot be read: {err}"]) from err
    if not isinstance(values, dict):
        raise OptionsError(
            [f"{path} holds no JSON object of names and values below {LARGEST_FILE >> 20} MiB"]
        )
    return values
