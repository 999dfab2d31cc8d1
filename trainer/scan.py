"""Every picture is read once before training: decoded to the end, and hashed in the same read.

Goes in: a Dataset of file names. Comes out: the same without the unreadable pictures, what was
wrong with each of them, and one hash over the content that is left. The price is one decode of
the whole dataset; Pillow and hashlib release the GIL, so it takes all cores, and with several
processes each scans its share.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tqdm import tqdm

from contract.pictures import check_picture
from trainer.datasets.dataset import Dataset, Problem
from trainer.processes import Processes


@dataclass(frozen=True, slots=True)
class Scan:
    """A scanned dataset.

    Attributes:
        dataset: The dataset without its unreadable pictures.
        problems: All files that cannot be used, by path, those the reader found among them.
        sha256: Hash over the sorted relative paths and contents of the pictures that are left.
    """

    dataset: Dataset
    problems: tuple[Problem, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class _Finding:
    """One picture's content hash, or why it cannot be used."""

    path: Path
    digest: str
    reason: str


def scan_pictures(dataset: Dataset, processes: Processes) -> Scan:
    """Decode and hash every picture of `dataset`, sharing the work between `processes`."""
    paths = dataset.files
    share = paths[processes.index :: processes.count]
    findings = processes.gather(_read_all(share, show=processes.is_main))
    unreadable = [Problem(found.path, found.reason) for found in findings if found.reason]
    digests = {found.path: found.digest for found in findings if not found.reason}
    problems = sorted([*dataset.problems, *unreadable], key=lambda problem: problem.path)
    return Scan(
        dataset=dataset.without({problem.path for problem in problems}),
        problems=tuple(problems),
        sha256=_hash_of(dataset.root, digests),
    )


def _read_all(paths: Sequence[Path], *, show: bool) -> list[_Finding]:
    with (
        ThreadPoolExecutor() as pool,
        tqdm(total=len(paths), desc="reading pictures", disable=not show) as bar,
    ):
        findings = []
        for finding in pool.map(_read, paths):
            findings.append(finding)
            bar.update()
    return findings


def _read(path: Path) -> _Finding:
    try:
        data = path.read_bytes()
    except OSError as err:
        return _Finding(path, "", err.strerror or str(err))
    error = check_picture(data)
    return _Finding(path, sha256(data).hexdigest(), "" if error is None else str(error))


def _hash_of(root: Path, digests: Mapping[Path, str]) -> str:
    lines = sorted(f"{path.relative_to(root).as_posix()}\0{d}\n" for path, d in digests.items())
    return sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
