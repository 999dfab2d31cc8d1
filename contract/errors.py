"""The errors of the shared contract.

ContractError
├── PictureError            bytes that do not become a picture
│   ├── NotAPicture         no reader knows the bytes
│   ├── BrokenPicture       a reader knows them, but they are truncated or corrupt
│   └── TooManyPixels       larger than the pixel limit, refused before decoding
├── ConfigError             a config.pbtxt or labels.txt that cannot be used
├── RepositoryError         a model repository that cannot be read or published to
│   └── BucketError         one in a bucket, where that refuses
├── ProviderError           an execution provider that is not here, or does not run a model
└── OptionsError            a flag, file or variable with a value that cannot be used
"""

from collections.abc import Sequence
from pathlib import Path


class ContractError(Exception):
    """Root of the errors that both sides share."""


class PictureError(ContractError):
    """Bytes that do not become a picture."""


class NotAPicture(PictureError):
    """No reader knows the bytes."""

    def __init__(self, size_bytes: int, expected: Sequence[str]) -> None:
        got = "zero bytes" if size_bytes == 0 else f"{size_bytes} bytes of no known picture format"
        super().__init__(f"{got}; expected one of {', '.join(expected)}")


class BrokenPicture(PictureError):
    """A reader knows the format, but the content is truncated or corrupt."""

    def __init__(self, file_format: str, reason: str) -> None:
        super().__init__(f"broken {file_format} picture: {reason}")


class TooManyPixels(PictureError):
    """A picture over the pixel limit, refused from its header, before any pixel is decoded."""

    def __init__(self, what: str, max_pixels: int) -> None:
        super().__init__(f"{what} pixels; the limit is {max_pixels} pixels")


class ConfigError(ContractError):
    """A config.pbtxt or labels.txt that cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class RepositoryError(ContractError):
    """A model repository that cannot be read or published to."""


class BucketError(RepositoryError):
    """What a bucket, or the network before it, refuses."""

    def __init__(self, doing: str, where: str, reason: str) -> None:
        super().__init__(f"cannot {doing} {where}: {reason}")


class ProviderError(ContractError):
    """An execution provider that is not on this machine, or does not run a model."""


class OptionsError(ContractError):
    """Flags, a file or variables with values that cannot be used; one line for each."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))
