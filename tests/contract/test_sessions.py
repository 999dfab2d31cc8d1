"""A choice becomes a session, or one line that says why not."""

from pathlib import Path

import numpy as np
import pytest

from contract.choice import Choice
from contract.engines import profile_shapes, with_engine
from contract.errors import ProviderError
from contract.model_config import ModelConfig, parse_model_config
from contract.sessions import Launch, detect_machine, gpu_providers, open_session
from tests.tiny_models import colour_config, colour_scores, write_colour_model

CPU = Choice("cpu", "fp32", "")
ENGINE = Choice("tensorrt", "fp16", "", {"trt_fp16_enable": "1"})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_colour_model(tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_a_session_computes_what_the_model_says(model: Path, provider: str) -> None:
    if provider == "openvino" and not detect_machine().has_openvino:
        pytest.skip("OpenVINO's plug-in is not installed, or takes no CPU of this maker")
    choice = Choice("openvino" if provider == "openvino" else "cpu", "fp32", "")
    session = open_session(Launch(model, choice, threads=1))
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    (scores,) = session.run(["scores"], {"image": image})
    np.testing.assert_allclose(scores, colour_scores(image), atol=1e-5)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ProviderError, match=r"model\.onnx: onnxruntime cannot load it"):
        open_session(Launch(tmp_path / "model.onnx", CPU, threads=1))


@pytest.mark.skipif(detect_machine().gpus > 0, reason="the providers start where a GPU is")
@pytest.mark.parametrize("choice", [ENGINE, Choice("cuda", "fp32", "")], ids=lambda c: c.provider)
def test_a_provider_that_does_not_start_is_no_session(model: Path, choice: Choice) -> None:
    with pytest.raises(ProviderError, match=str(model)):
        open_session(Launch(model, choice, threads=1))


def test_tensorrt_leaves_to_cuda_and_the_cpu_what_it_cannot() -> None:
    assert gpu_providers(ENGINE, device=1) == [
        ("TensorrtExecutionProvider", {"trt_fp16_enable": "1", "device_id": "1"}),
        ("CUDAExecutionProvider", {"device_id": "1"}),
        "CPUExecutionProvider",
    ]
    assert gpu_providers(CPU, device=0) == ["CPUExecutionProvider"]


def test_an_engine_is_built_for_all_batches_of_the_config() -> None:
    assert profile_shapes(colour_config("m", max_batch_size=8)) == {
        "trt_profile_min_shapes": "image:1x8x8x3",
        "trt_profile_opt_shapes": "image:8x8x8x3",
        "trt_profile_max_shapes": "image:8x8x8x3",
    }
    two = parse_model_config(
        """{"name": "m", "max_batch_size": 8, "dynamic_batching": {"preferred_batch_size": [2, 4]},
        "input": [{"name": "a", "dims": [6], "reshape": {"shape": [2, 3]}},
                  {"name": "b", "dims": [1]}]}"""
    )
    assert profile_shapes(two) == {
        "trt_profile_min_shapes": "a:1x2x3,b:1x1",
        "trt_profile_opt_shapes": "a:4x2x3,b:4x1",
        "trt_profile_max_shapes": "a:8x2x3,b:8x1",
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"max_batch_size": 4}',
        '{"input": [{"name": "a", "dims": [3]}]}',
        '{"max_batch_size": 4, "input": [{"name": "a", "dims": [-1, 3]}]}',
    ],
)
def test_sizes_that_are_open_are_left_to_the_warm_up(text: str) -> None:
    assert profile_shapes(parse_model_config(text)) == {}


def config() -> ModelConfig:
    return colour_config("m")


def cache_of(version_dir: Path, cache_dir: Path | None = None, **named: str) -> str | None:
    choice = Choice("tensorrt", "fp32", "", named)
    return with_engine(choice, config(), version_dir, cache_dir).options.get(
        "trt_engine_cache_path"
    )


def test_engines_are_kept_in_a_hidden_folder_of_the_version(tmp_path: Path) -> None:
    assert cache_of(tmp_path / "1", tmp_path / "cache") == str(tmp_path / "1" / ".tensorrt")
    assert cache_of(tmp_path / "1", trt_engine_cache_path="mine") == str(tmp_path / "1" / "mine")
    absolute = str(tmp_path / "a")
    assert cache_of(tmp_path / "1", trt_engine_cache_path=absolute) == absolute
    assert cache_of(tmp_path / "1", trt_engine_cache_enable="0") is None


def test_engines_of_a_folder_that_cannot_be_written_go_where_the_flag_says(tmp_path: Path) -> None:
    version_dir = tmp_path / "file"
    version_dir.write_bytes(b"")  # no folder can be made in a file, not by root either
    cache = tmp_path / "cache"
    assert cache_of(version_dir, cache) == str(cache / "m" / "file")
    with pytest.raises(
        ProviderError, match=r"engine cannot be kept: .*; give .* --engine_cache_dir"
    ):
        cache_of(version_dir)


def test_engines_that_were_built_ahead_are_read_from_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(dir: Path) -> None:  # noqa: A002  # tempfile's own name
        raise PermissionError(13, "Permission denied", str(dir))

    engines = tmp_path / "1" / ".tensorrt"
    monkeypatch.setattr("contract.engines.tempfile.TemporaryFile", refuse)
    with pytest.raises(ProviderError, match="Permission denied"):
        cache_of(tmp_path / "1")
    (engines / "graph.engine").write_bytes(b"")
    assert cache_of(tmp_path / "1", tmp_path / "cache") == str(engines)


def test_other_providers_have_no_engine(tmp_path: Path) -> None:
    assert with_engine(CPU, config(), tmp_path, None) is CPU
