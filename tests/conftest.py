import gc
from collections.abc import Iterator

import pytest
from PIL import Image

from server.runtime import Runtime
from tests.runtimes import cpu_runtime


@pytest.fixture(scope="session", autouse=True)
def _rare_collections() -> Iterator[None]:
    """Look for garbage less often: an export makes millions of objects, and is a seventh faster."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 100)
    yield
    gc.set_threshold(*before)


@pytest.fixture(autouse=True)
def _pixel_limit() -> Iterator[None]:
    """Pillow's limit is one for the process: what a test has set is not the next one's."""
    before = Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = before


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    made = cpu_runtime()
    yield made
    made.decoder.stop()
