"""A channel of a training job, and what its files are.

inputdataconfig.json says of a channel its content type, whether it is a pipe, and whether records
are wrapped around its objects. Where it does not say a content type, the files do.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trainer.datasets.pipe import spool
from trainer.datasets.visible_files import visible_files
from trainer.errors import BadChannel, DatasetError, listed

_EPOCH: Final = 0


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel, as inputdataconfig.json describes it.

    Attributes:
        name: Such as train_lst.
        folder: Where its files lie; of a pipe, what its FIFOs are named after.
        content_type: Such as application/x-recordio; None where nothing is said.
        pipe: Whether it comes through a FIFO, FOLDER_0, FOLDER_1, ..., one an epoch.
        recordio_wrapper: Whether each object of it is wrapped into a record.
        attribute_names: Of an augmented manifest: the picture's attribute, then the annotation's.
    """

    name: str
    folder: Path
    content_type: str | None
    pipe: bool
    recordio_wrapper: bool
    attribute_names: tuple[str, ...] = ()

    @property
    def media_type(self) -> str:
        """The content type without parameters, in lower case; empty where nothing is said."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def parameters(self) -> dict[str, str]:
        """The content type's parameters, such as label-format."""
        pairs = (part.partition("=") for part in (self.content_type or "").split(";")[1:])
        return {name.strip().lower(): value.strip().strip('"').lower() for name, _, value in pairs}

    def files(self, *suffixes: str) -> list[Path]:
        """Its files of these suffixes, or all, by name; hidden ones do not count.

        Raises:
            DatasetError: Its folder is missing.
        """
        if not self.folder.is_dir():
            raise DatasetError(f"{self.folder}: folder of the channel {self.name} is missing")
        return [
            path
            for path in visible_files(self.folder)
            if not suffixes or path.suffix.lower() in suffixes
        ]

    def only_file(self, *suffixes: str) -> Path:
        """Its one file of these suffixes.

        Raises:
            DatasetError: It has none, or several.
        """
        found = self.files(*suffixes)
        if len(found) != 1:
            names = ", ".join(listed([path.name for path in found])) or "none"
            raise DatasetError(
                f"{self.folder}: the channel {self.name} has to hold one {' or '.join(suffixes)} "
                f"file; got {names}"
            )
        return found[0]

    def record_files(self) -> list[Path]:
        """Its .rec files by name; or its one file, whatever that is called.

        Raises:
            DatasetError: It holds none, or several others.
        """
        found = self.files(".rec") or self.files()
        if len(found) == 1 or (found and found[0].suffix.lower() == ".rec"):
            return found
        names = ", ".join(listed([path.name for path in found])) or "none"
        raise DatasetError(
            f"{self.folder}: the channel {self.name} has to hold .rec files; got {names}"
        )

    def spooled(self, workspace: Path) -> Path:
        """A file with all that comes through its pipe in the first epoch.

        Raises:
            BadChannel: There is no such pipe.
            DatasetError: Nothing comes.
        """
        pipe = self.folder.with_name(f"{self.folder.name}_{_EPOCH}")
        target = workspace / f"{self.name}.rec"
        if not pipe.exists() and not target.exists():
            raise BadChannel(
                f"channel {self.name}: {pipe} is missing; a channel in Pipe mode comes through a "
                "FIFO of this name"
            )
        return spool(pipe, target)


def needed(channels: Mapping[str, Channel], *names: str) -> list[Channel]:
    """The channels of these names.

    Raises:
        BadChannel: One is missing, a line each; or two read the same folder.
    """
    missing = [name for name in names if name not in channels]
    if missing:
        given = ", ".join(sorted(channels)) or "none"
        raise BadChannel(
            *(f"channel {name!r} is missing; got the channels {given}" for name in missing)
        )
    found = [channels[name] for name in names]
    for index, channel in enumerate(found):
        for other in found[:index]:
            if channel.folder.resolve() == other.folder.resolve():
                raise BadChannel(
                    f"{channel.folder}: is both channels {other.name} and {channel.name}; "
                    "training and validation data have to lie in different folders"
                )
    return found


def common_folder(channels: Sequence[Channel]) -> Path:
    """The folder that the channels' folders lie in; of a single channel, its own."""
    return Path(os.path.commonpath([channel.folder.absolute() for channel in channels]))
