import socket

import pytest

from server.listening import IPV4, check_port, every_address
from tests.live_server import free_port

FAMILIES = [(socket.AF_INET, "0.0.0.0")]  # noqa: S104  # no connection is taken
if every_address() != IPV4:
    FAMILIES.append((socket.AF_INET6, "::"))


@pytest.mark.parametrize(("family", "host"), FAMILIES)
def test_a_port_that_another_program_listens_on_is_refused(
    family: socket.AddressFamily, host: str
) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as other:
        if family == socket.AF_INET6:  # else it would listen on IPv4, too
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.bind((host, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on --http_port {port}: Address already"):
            check_port("--http_port", port)
    check_port("--http_port", free_port())


def test_a_machine_without_ipv6_is_listened_on_over_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = socket.socket

    def without_ipv6(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return plain(family, kind)

    monkeypatch.setattr("server.listening.socket.socket", without_ipv6)
    assert every_address() == IPV4
