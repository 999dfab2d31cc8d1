import threading
from pathlib import Path
from typing import Any

import pytest

from contract.bucket import Store
from tests.storage.local_s3 import LocalS3


def test_a_large_object_is_fetched_in_one_request_not_held_in_memory_by_pieces(
    s3: LocalS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(s3.bucket("large"))
    content = bytes(range(256)) * 16
    store.write("object", content)
    call, calls = store._fs._call_s3, []

    async def noted(method: str, *args: Any, **kwargs: Any) -> Any:
        calls.append((method, kwargs.get("Range")))
        return await call(method, *args, **kwargs)

    monkeypatch.setattr(store._fs, "_call_s3", noted)
    monkeypatch.setattr(store._fs, "default_block_size", 1024)  # above which an object is large
    store.fetch("object", tmp_path / "file", threading.Event())
    assert (tmp_path / "file").read_bytes() == content
    assert calls == [("get_object", None)]
