"""Hyperparameters that are given beside the container's own file: as flags, and in another file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.errors import OptionsError
from trainer.sagemaker.container import read_hyperparameters


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line gives of hyperparameters.

    Attributes:
        file: A flat JSON file of them, or None.
        words: The command line's words that are none of `train`'s own flags.
    """

    file: Path | None
    words: Sequence[str]

    def values(self) -> dict[str, str]:
        """The hyperparameters by name; a flag wins over the file.

        Raises:
            OptionsError: The file cannot be read, or a word is no flag with a value.
        """
        if self.file is not None and not self.file.is_file():
            raise OptionsError([f"hyperparameters: {self.file} is no file"])
        in_file = {} if self.file is None else read_hyperparameters(self.file)
        return {**in_file, **dict(_pairs(iter(self.words)))}


def _pairs(words: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Names and values of words such as `--epochs 3` and `--epochs=3`."""
    for word in words:
        name, has_value, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise OptionsError([f"unexpected argument {word!r}; expected --HYPERPARAMETER VALUE"])
        following = value if has_value else next(words, None)
        if following is None:
            raise OptionsError([f"{name}: required a value, but none is given"])
        yield name, following
