"""The processes of one training: one, or as many as torchrun started, seen through accelerate."""

from dataclasses import dataclass
from typing import Final, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Processes:
    """Which of how many processes this one is, and which of its node's."""

    index: int
    count: int
    local_index: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process reports, exports and publishes."""
        return self.index == 0

    @property
    def leads_node(self) -> bool:
        """Whether this process does what is done once on each node."""
        return self.local_index == 0

    def gather(self, items: list[ItemT]) -> list[ItemT]:
        """The items of all processes, on each of them."""
        if self.count == 1:
            return items
        gathered: list[ItemT] = gather_object(items)
        return gathered

    def any_of(self, *, flag: bool) -> bool:
        """Whether any process calls this with a true flag; each of them has to call it."""
        if self.count == 1:
            return flag
        flags = torch.tensor([flag], dtype=torch.int32, device=PartialState().device)
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
        return bool(flags.item())


ALONE: Final = Processes(index=0, count=1)
"""A command that no other process takes part in."""


def start_processes() -> Processes:
    """Join the process group that torchrun's variables describe, if they do."""
    state = PartialState(cpu=not torch.cuda.is_available())
    return Processes(state.process_index, state.num_processes, state.local_process_index)


def wait_for_all() -> None:
    """Return once every process has come here."""
    PartialState().wait_for_everyone()


def leave_processes() -> None:
    """Leave the process group, so that the main process may go on alone."""
    PartialState().destroy_process_group()
