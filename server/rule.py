"""How many of the rows that wait run now: the decision, without the doing.

Work-conserving: whatever waits runs at once on an idle instance. `max_queue_delay_microseconds`
holds a run back only where that can help: its batch is smaller than a preferred one and could still
grow, and somebody is expected to join it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from contract.scheduling import DynamicBatching
from server.waiting_line import Request


@dataclass(frozen=True, slots=True)
class Rule:
    """What decides the size of a run.

    Attributes:
        sizes: Batch sizes to form, ascending; the last is the largest.
        shared: Whether requests share runs.
        may_wait: Whether a smaller batch may wait for others to join it.
    """

    sizes: tuple[int, ...]
    shared: bool
    may_wait: bool


def make_rule(batch_size: int, dynamic: DynamicBatching | None) -> Rule:
    """The rule for runs of up to `batch_size` rows; 0: requests of a model without a batch axis."""
    if not batch_size or dynamic is None:
        return Rule((max(1, batch_size),), shared=False, may_wait=False)
    preferred = [size for size in dynamic.preferred_batch_sizes if size <= batch_size]
    may_wait = dynamic.max_queue_delay_us > 0
    return Rule(tuple(preferred) or (batch_size,), shared=True, may_wait=may_wait)


def decide(line: Iterable[Request], rule: Rule, *, expected: bool) -> int:
    """How many rows from the front of the line to run now.

    Args:
        line: The requests in their order.
        rule: What decides the size.
        expected: Whether somebody may join the batch soon.

    Returns:
        The rows; 0 if nothing waits, or the front should wait for others.
    """
    first: Request | None = None
    rows, grows = 0, rule.shared
    for request in line:
        if first is None:
            first = request
        elif not rule.shared or request.signature != first.signature:
            grows = False
            break
        rows += request.rows - request.taken
        if rows >= rule.sizes[-1]:
            return rule.sizes[-1]
    if first is None:
        return 0
    formed = max((size for size in rule.sizes if size <= rows), default=0)
    if formed:
        return formed
    waits = rule.may_wait and expected and grows and not first.overdue and not first.taken
    return 0 if waits else rows
