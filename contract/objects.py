"""The objects of a bucket -> the models that they make, in Triton's layout: a pure decision.

    NAME/config.pbtxt, NAME/labels.txt, NAME/warmup/*   shared by all versions
    NAME/VERSION/*                                      a version

Keys that cannot be paths below a folder, and hidden ones, do not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from contract.repository import is_model_name, parse_version


@dataclass(frozen=True, slots=True)
class Entry:
    """What tells an object from its next content.

    Attributes:
        size: Its length in bytes.
        tag: The store's mark of its content: an ETag, a generation or a time.
    """

    size: int
    tag: str


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model in a bucket.

    Attributes:
        name: The model's name.
        shared: What lies beside the versions, by path below the model.
        versions: The files of each version, by path below it.
    """

    name: str
    shared: Mapping[str, Entry] = field(default_factory=dict)
    versions: Mapping[int, Mapping[str, Entry]] = field(default_factory=dict)

    def whole(self, model_file: str) -> dict[int, Mapping[str, Entry]]:
        """The versions whose model is there: an object of that name, or objects below it."""
        return {
            number: files
            for number, files in sorted(self.versions.items())
            if any(path == model_file or path.startswith(f"{model_file}/") for path in files)
        }


def group(objects: Mapping[str, Entry]) -> dict[str, RemoteModel]:
    """The models of a bucket, by name, from its objects by key."""
    shared: dict[str, dict[str, Entry]] = {}
    versions: dict[str, dict[int, dict[str, Entry]]] = {}
    for key, entry in objects.items():
        name, *rest = safe_parts(key) or ("",)
        if not rest or not is_model_name(name):
            continue
        number = parse_version(rest[0])
        if number is None:
            shared.setdefault(name, {})["/".join(rest)] = entry
        elif len(rest) > 1:
            files = versions.setdefault(name, {}).setdefault(number, {})
            files["/".join(rest[1:])] = entry
    return {
        name: RemoteModel(name, shared.get(name, {}), versions.get(name, {}))
        for name in sorted({*shared, *versions})
    }


def safe_parts(key: str) -> tuple[str, ...]:
    """The parts of a key that may be a path below a folder; empty for one that may not.

    Hidden names do not count, as in a folder.
    """
    parts = PurePosixPath(key).parts
    if key != "/".join(parts) or any(part.startswith((".", "/")) for part in parts):
        return ()
    return () if "\0" in key or "\\" in key else parts
