"""What runs the versions of models that a test loads in its own process."""

from server.decoder import Decoder
from server.runtime import Runtime


def cpu_runtime() -> Runtime:
    """One thread of the CPU, and small pictures; its decoder is to be stopped."""
    return Runtime(
        provider="cpu",
        precision="fp32",
        threads=1,
        max_queue_size=64,
        max_instances=4096,
        decoder=Decoder(1, 10_000),
    )
