"""Every picture is read once before training: decoded to the end, and hashed in the same read.

Goes in: a Dataset of file names. Comes out: the same without the unreadable pictures, what was
wrong with each of them, and one hash over all that is learnt from what is left. The price is one
decode of the whole dataset; Pillow and hashlib release the GIL, so it takes all cores, and with
several processes each scans its share.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tqdm import tqdm

from contract.hardware import available_cpus
from contract.pictures import check_picture
from trainer.datasets.dataset import Dataset, Problem, Stored
from trainer.errors import DatasetError
from trainer.processes import Processes


@dataclass(frozen=True, slots=True)
class Scan:
    """A scanned dataset.

    Attributes:
        dataset: The dataset without its unreadable pictures.
        problems: All files that cannot be used, by path, those the reader found among them.
        sha256: Hash over the labels and, in the order of the samples that are left, over their
            splits, the places and contents of their files, and their targets.
    """

    dataset: Dataset
    problems: tuple[Problem, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class _Finding:
    """One picture's content hash, or why it cannot be used.

    Attributes:
        index: Its place among the dataset's files, which is the same on every host.
        digest: The hash; empty where it cannot be used.
        reason: Why it cannot; empty where it can.
    """

    index: int
    digest: str
    reason: str


def scan_pictures(dataset: Dataset, processes: Processes) -> Scan:
    """Decode and hash every picture of `dataset`, sharing the work between `processes`.

    Raises:
        DatasetError: The processes' hosts hold different numbers of files.
    """
    paths = dataset.files
    if len(counts := set(processes.gather([len(paths)]))) > 1:
        raise DatasetError(
            f"the hosts hold from {min(counts)} to {max(counts)} files; each has to hold the whole "
            "dataset"
        )
    share = [*enumerate(paths)][processes.index :: processes.count]
    findings = processes.gather(_read_all(share, show=processes.is_main))
    unreadable = [Problem(paths[found.index], found.reason) for found in findings if found.reason]
    digests = {paths[found.index]: found.digest for found in findings if not found.reason}
    problems = sorted([*dataset.problems, *unreadable], key=lambda problem: str(problem.path))
    usable = dataset.without({problem.path for problem in problems})
    return Scan(dataset=usable, problems=tuple(problems), sha256=_hash_of(usable, digests))


def _read_all(paths: Sequence[tuple[int, Stored]], *, show: bool) -> list[_Finding]:
    with (
        ThreadPoolExecutor(available_cpus()) as pool,
        tqdm(total=len(paths), desc="reading pictures", disable=not show) as bar,
    ):
        findings = []
        for finding in pool.map(_read, paths):
            findings.append(finding)
            bar.update()
    return findings


def _read(numbered: tuple[int, Stored]) -> _Finding:
    index, path = numbered
    try:
        data = path.read_bytes()
    except OSError as err:
        return _Finding(index, "", err.strerror or str(err))
    error = check_picture(data)
    return _Finding(index, sha256(data).hexdigest(), "" if error is None else str(error))


def _hash_of(dataset: Dataset, digests: Mapping[Stored, str]) -> str:
    lines = [repr(dataset.labels)]
    for split, samples in dataset.splits.items():
        for sample in samples:
            places = (_place(file, dataset.root) for file in sample.files)
            contents = (digests[file] for file in sample.files)
            lines.append("\0".join([split, *places, *contents, repr(sample.target)]))
    return sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _place(file: Stored, root: Path) -> str:
    """What tells a file from others of the dataset, wherever that lies."""
    return os.path.relpath(file, root) if isinstance(file, Path) else file.name
