"""Where the server listens: on every address of the machine, of IPv6 too where it has that."""

import socket
from typing import Final

IPV4: Final = "0.0.0.0"  # noqa: S104  # a container's clients come from elsewhere
_BOTH: Final = ""


def every_address() -> str:
    """The host that stands for all addresses to asyncio: of IPv4 alone where there is no other.

    KServe's own server listens on IPv4 alone, so that all probes fail in a cluster of IPv6.
    """
    return _BOTH if _can_bind(socket.AF_INET6, 0) is None else IPV4


def check_port(flag: str, port: int) -> None:
    """Refuse a port that another program listens on, before any model is loaded.

    Raises:
        OSError: Names the flag and the port.
    """
    families = [socket.AF_INET, socket.AF_INET6] if every_address() == _BOTH else [socket.AF_INET]
    for family in families:
        if (err := _can_bind(family, port)) is not None:
            raise OSError(f"cannot listen on {flag} {port}: {err.strerror}") from err


def _can_bind(family: socket.AddressFamily, port: int) -> OSError | None:
    """Why one cannot listen on a port of a family of addresses; None if one can."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(("::" if family == socket.AF_INET6 else IPV4, port))
    except OSError as err:
        return err
    return None
