"""The machines of a job -> how torchrun brings their processes together: decided, not done.

SageMaker starts the same container on each host, and tells each all of their names. The first name
in order is the one that the others meet at; its place in that order is a host's rank.
"""

import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contract.errors import OptionsError

SAVING_S: Final = 100
"""Seconds that the processes have for a last checkpoint: SageMaker kills 120 s after SIGTERM."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """The machines of a job.

    Attributes:
        current: The name of this one.
        names: The names of all, in order.
        interface: The network interface between them; empty where the libraries shall choose.
    """

    current: str
    names: tuple[str, ...]
    interface: str = ""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def rank(self) -> int:
        """The place of this one among them."""
        return self.names.index(self.current)

    @property
    def master(self) -> str:
        """Where they meet."""
        return self.names[0]


ONE_HOST: Final = Hosts("algo-1", ("algo-1",))
"""A job of one machine, by the name that SageMaker gives it."""


def torchrun(hosts: Hosts, processes: int, port: int, argv: Sequence[str]) -> list[str]:
    """The command that starts this host's processes of `aperture-train`.

    Args:
        hosts: The machines.
        processes: Processes of this one.
        port: The port of the first one that they meet at.
        argv: The command line of each process.
    """
    meeting = (
        ["--standalone"]
        if hosts.count == 1
        else [f"--node-rank={hosts.rank}", f"--master-addr={hosts.master}", f"--master-port={port}"]
    )
    return [
        *(sys.executable, "-m", "trainer.sagemaker.torchrun"),
        f"--nnodes={hosts.count}",
        f"--nproc-per-node={processes}",
        f"--shutdown-timeout={SAVING_S}",
        *meeting,
        *("-m", "trainer"),
        *argv,
    ]


def variables(hosts: Hosts, environ: Mapping[str, str]) -> dict[str, str]:
    """What the collective libraries have to know; what was set for them already wins."""
    if not hosts.interface:
        return {}
    names = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME")
    return {name: hosts.interface for name in names if name not in environ}


def check_interface(hosts: Hosts, environ: Mapping[str, str]) -> None:
    """Refuse an interface that this host has not: the libraries would look for it without a word.

    Raises:
        OptionsError: There is none of that name.
    """
    present = [name for _, name in socket.if_nameindex()]
    if variables(hosts, environ) and hosts.interface not in present:
        raise OptionsError(
            [
                f"network_interface_name: got {hosts.interface!r}, expected one of those that host "
                f"{hosts.current} has, {', '.join(present)}"
            ]
        )
