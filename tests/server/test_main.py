"""`aperture-serve` is told to end before it serves."""

import signal

import pytest

from tests.early_signals import told_early


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("early", ["server.cli", "kserve"])
def test_a_signal_before_it_serves_ends_the_server_as_later(early: str, number: int) -> None:
    """Where there is no handler yet, SIGTERM does not end a container's first process at all."""
    done = told_early("aperture-serve", early, number, "--model_repository", "tests")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
