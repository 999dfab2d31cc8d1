"""A difference of this server's answers from Triton's that is meant, and how it is told."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.triton.compare import Answer

Holds = Callable[[str, Answer, Answer], bool]


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference that is meant.

    Attributes:
        what: What this server does otherwise, as docs/protocols.md says it.
        why: The reason.
        holds: Whether two answers to the case of that name, Triton's and ours, differ so; it may fail
            at others.
    """

    what: str
    why: str
    holds: Holds

    def explains(self, name: str, theirs: Answer, ours: Answer) -> bool:
        """Whether this is how two answers differ."""
        try:
            return self.holds(name, theirs, ours)
        except (KeyError, TypeError, ValueError, AttributeError):  # not the body that it is about
            return False


def listed(heading: str) -> list[tuple[str, str]]:
    """What the manual lists under a heading, and why."""
    manual = (Path(__file__).parents[2] / "docs/protocols.md").read_text(encoding="utf-8")
    _, _, rest = manual.partition(f"\n### {heading}\n")
    table = rest.partition("\n#")[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in table if line.startswith("|")]
    return [(what, why) for what, why in rows[2:]]


def of(*names: str, triton: int, ours: int) -> Holds:
    """Cases whose names begin so, with these statuses; ours says what is wrong if anything is."""

    def holds(name: str, theirs: Answer, answer: Answer) -> bool:
        statuses = (theirs.status, answer.status) == (triton, ours)
        return statuses and name.startswith(names) and bool(answer.error) == (ours not in (0, 200))

    return holds


def answered(*names: str, triton: int, ours: int = 200) -> Holds:
    """Cases of those names that Triton refuses, and that have outputs here."""

    def holds(name: str, theirs: Answer, answer: Answer) -> bool:
        statuses = (theirs.status, answer.status) == (triton, ours)
        return name in names and statuses and bool(answer.body["outputs"])

    return holds
