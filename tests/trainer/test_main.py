"""`aperture-train` is told to end while it is still being imported."""

import signal

import pytest

from tests.early_signals import told_early


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_before_anything_is_imported_ends_the_command_as_later(
    number: int, status: int
) -> None:
    """Where there is no handler yet, SIGTERM does not end a container's first process at all."""
    done = told_early("aperture-train", "trainer.cli", number, "train")
    assert (done.returncode, done.stdout, done.stderr) == (status, b"", b"")
