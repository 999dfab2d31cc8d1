from collections.abc import Iterator

import pytest

from server.decoder import Decoder


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(1, 10_000)
    yield decoder
    decoder.stop()
