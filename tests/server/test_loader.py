import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.errors import LoadError
from server.loader import load_version
from server.rate_limiter import RateLimiter
from server.runtime import Runtime
from server.sources import ModelFolder
from server.tensors import InferRequest, Tensor
from tests.onnx_graphs import sum_graph
from tests.tiny_models import publish_colour_model


def folder_of(tmp_path: Path, more: str) -> ModelFolder:
    """A model's folder whose config.pbtxt says `more`."""
    model_dir = publish_colour_model(tmp_path, "colours")
    config = model_dir / "config.pbtxt"
    config.write_text(f"{config.read_text()}{more}\n")
    return ModelFolder("colours", model_dir)


def test_a_field_without_effect_is_a_line_in_the_log(
    tmp_path: Path, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(tmp_path, "optimization { eager_batching: true }")
    load_version(folder, 1, folder.read_config(), runtime)
    (line,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert line.startswith("model=colours version=1: optimization.eager_batching has no effect: ")


def test_a_field_that_is_not_served_is_a_reason_in_one_line(
    tmp_path: Path, runtime: Runtime
) -> None:
    folder = folder_of(tmp_path, "model_transaction_policy { decoupled: true }")
    with pytest.raises(LoadError) as refused:
        load_version(folder, 1, folder.read_config(), runtime)
    assert str(refused.value) == (
        "model 'colours': model_transaction_policy.decoupled is not served; "
        "each request has one response; set it to false"
    )


def test_a_bad_parameter_of_the_session_is_refused(tmp_path: Path, runtime: Runtime) -> None:
    folder = folder_of(tmp_path, 'parameters { key: "execution_mode" value { string_value: "2" } }')
    with pytest.raises(LoadError, match="Expected values for execution_mode are 0 or 1 but got 2"):
        load_version(folder, 1, folder.read_config(), runtime)


WARM_UP = """model_warmup { name: "w" batch_size: 2 inputs { key: "x"
    value { data_type: TYPE_FP32 dims: 2 random_data: true } } }"""


@pytest.mark.parametrize("more", ["", WARM_UP])
def test_an_optional_input_has_the_graphs_value_where_it_is_left_out(
    tmp_path: Path, runtime: Runtime, more: str
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/model.onnx").write_bytes(sum_graph().SerializeToString())
    (tmp_path / "config.pbtxt").write_text(
        f"""name: "sums" max_batch_size: 8 dynamic_batching {{}} {more}
        input {{ name: "x" data_type: TYPE_FP32 dims: 2 }}
        input {{ name: "bias" data_type: TYPE_FP32 dims: 2 optional: true }}"""
    )
    folder = ModelFolder("sums", tmp_path)
    version = load_version(folder, 1, folder.read_config(), runtime)
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(1, 2)).astype(np.float32) for _ in range(20)]

    async def ask(i: int) -> Any:
        given = [Tensor("x", "FP32", (1, 2), rows[i])]
        if i % 3:
            given.append(Tensor("bias", "FP32", (1, 2), np.full((1, 2), i, np.float32)))
        return await version.infer(InferRequest("", tuple(given)))

    async def main() -> list[Any]:
        version.start()
        answers = await asyncio.gather(*(ask(i) for i in range(20)))
        await version.stop()
        return answers

    answers = asyncio.run(main())
    for i, answer in enumerate(answers):
        bias = np.full((1, 2), i, np.float32) if i % 3 else np.array([[1, 2]], np.float32)
        np.testing.assert_array_equal(dict(answer)["y"], rows[i] + bias)


def test_a_warm_up_needs_what_a_request_needs(tmp_path: Path, runtime: Runtime) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/model.onnx").write_bytes(sum_graph().SerializeToString())
    (tmp_path / "config.pbtxt").write_text(
        f"""name: "sums" max_batch_size: 8 {WARM_UP.replace('"x"', '"bias"')}
        input {{ name: "x" data_type: TYPE_FP32 dims: 2 }}
        input {{ name: "bias" data_type: TYPE_FP32 dims: 2 optional: true }}"""
    )
    folder = ModelFolder("sums", tmp_path)
    with pytest.raises(LoadError, match="its inputs are bias FP32; expected bias FP32, x FP32"):
        load_version(folder, 1, folder.read_config(), runtime)


LIMITED = 'instance_group { kind: KIND_CPU rate_limiter { resources { name: "R" count: 4 } } }'


def test_a_version_takes_its_needs_with_it(tmp_path: Path, runtime: Runtime) -> None:
    runtime = replace(runtime, limiter=RateLimiter())
    folder = folder_of(tmp_path, LIMITED)

    async def main() -> None:
        version = await asyncio.to_thread(load_version, folder, 1, folder.read_config(), runtime)
        assert runtime.limiter is not None
        assert runtime.limiter.limits == {("R", 0): 4}
        version.start()
        await version.stop()
        assert runtime.limiter.limits == {}

    asyncio.run(main())


def test_a_version_that_cannot_be_served_leaves_no_needs(tmp_path: Path, runtime: Runtime) -> None:
    limiter = RateLimiter()
    folder = folder_of(tmp_path, LIMITED)
    (folder.path / "labels.txt").write_text("only one\n")
    with pytest.raises(LoadError, match="1 labels for 3 classes"):
        load_version(folder, 1, folder.read_config(), replace(runtime, limiter=limiter))
    assert limiter.limits == {}


def test_what_could_never_run_is_refused_before_the_model_is_opened(
    tmp_path: Path, runtime: Runtime
) -> None:
    folder = folder_of(tmp_path, LIMITED)
    (folder.path / "1/model.onnx").write_bytes(b"no graph")
    runtime = replace(runtime, limiter=RateLimiter({("R", None): 3}))
    with pytest.raises(LoadError, match='Resource count for "R" is limited to 3'):
        load_version(folder, 1, folder.read_config(), runtime)
