"""Two nodes on one machine: network namespaces with a wire between them, or, without root, two ports.

In a namespace the node has an address and an /etc/hosts of its own, as a pod has: its host name is its
address, and the first node has the name that JobSet's Service would give it.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HOSTS: Final = Path("/etc/netns")  # `ip netns exec NAME` puts NAME/hosts in /etc/hosts' place
_ADDRESSES: Final = ("10.213.77.1", "10.213.77.2")


@dataclass(frozen=True, slots=True)
class Nodes:
    """Two nodes.

    Attributes:
        words: What stands before a command that runs on the node, for each.
        master: How they call the first.
    """

    words: tuple[tuple[str, ...], ...]
    master: str


@contextmanager
def two_nodes(master: str) -> Iterator[Nodes]:
    """Two nodes, the first of them called `master` where names are to be had."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        yield Nodes(((), ()), "127.0.0.1")
        return
    names = [f"aperture-{os.getpid()}-{number}" for number in range(2)]
    with ExitStack() as stack:
        for name in names:
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
        ends = [("name", "wire", "netns", name) for name in names]
        _ip("link", "add", *ends[0], "type", "veth", "peer", *ends[1])
        for name, address in zip(names, _ADDRESSES, strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "wire")
            for device in ("lo", "wire"):
                _ip("-n", name, "link", "set", device, "up")
            stack.enter_context(_hosts_file(name, address, master))
        yield Nodes(tuple(("ip", "netns", "exec", name) for name in names), master)


def run_on(
    nodes: Nodes, command: Sequence[str], environments: Sequence[Mapping[str, str]], logs: Path
) -> list[str]:
    """Run a command on both nodes at once, and return what each said; fails if one of them does."""
    logs.mkdir()
    files = [logs / f"node-{rank}.log" for rank in range(len(nodes.words))]
    processes = []
    try:
        for words, variables, file in zip(nodes.words, environments, files, strict=True):
            with file.open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [*words, *command],
                        env={**os.environ, **variables},
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
        statuses = [process.wait() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    said = [file.read_text(encoding="utf-8") for file in files]
    assert statuses == [0, 0], "\n".join(said)
    return said


@contextmanager
def _hosts_file(name: str, address: str, master: str) -> Iterator[None]:
    folder = _HOSTS / name
    folder.mkdir(parents=True)
    try:
        lines = ["127.0.0.1 localhost", f"{address} {socket.gethostname()}"]
        lines.append(f"{_ADDRESSES[0]} {master}")
        (folder / "hosts").write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield
    finally:
        shutil.rmtree(folder)
        if not any(_HOSTS.iterdir()):
            _HOSTS.rmdir()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
