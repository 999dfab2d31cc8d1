"""TensorRT's engines: where they are kept, and the batch sizes that they are built for.

An engine is compiled for a GPU and a range of shapes, which takes minutes. It is kept in a hidden
folder of the version, if that can be written or holds engines that were built ahead; else where the
user says.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from contract.choice import Choice
from contract.errors import ProviderError
from contract.model_config import ModelConfig

ENGINE_DIR: Final = ".tensorrt"
"""Hidden, so that a poll of the repository sees no change of the version."""

PROFILES: Final = ("trt_profile_min_shapes", "trt_profile_opt_shapes", "trt_profile_max_shapes")

_CACHE_ENABLE: Final = "trt_engine_cache_enable"
_CACHE_PATH: Final = "trt_engine_cache_path"
_NO: Final = ("0", "false", "False")


def with_engine(
    choice: Choice, config: ModelConfig, version_dir: Path, cache_dir: Path | None
) -> Choice:
    """The choice with TensorRT's engine cache and batch sizes; others as they are.

    Args:
        choice: The choice.
        config: The model's configuration.
        version_dir: The version's folder.
        cache_dir: Where caches lie if that cannot be written, in folders of the models' and
            versions' names.

    Raises:
        ProviderError: No folder can be written to.
    """
    if choice.provider != "tensorrt":
        return choice
    options = {**profile_shapes(config), **choice.options}
    if options.setdefault(_CACHE_ENABLE, "1") not in _NO:
        named = options.get(_CACHE_PATH)
        folders = [version_dir / (named or ENGINE_DIR)]  # an absolute path stays as it is
        if named is None and cache_dir is not None:
            folders.append(cache_dir / config.name / version_dir.name)
        options[_CACHE_PATH] = str(_usable(folders))
    return replace(choice, options=options)


def profile_shapes(config: ModelConfig) -> dict[str, str]:
    """The shapes of batches of 1 to max_batch_size for TensorRT; empty where a size is open.

    They are fastest at the largest preferred batch size, or at max_batch_size.
    """
    message: Any = config.message  # its class is generated, without types
    specs, largest = config.inputs, config.max_batch_size
    if not specs or largest < 1 or any(size < 1 for spec in specs for size in spec.dims):
        return {}
    best = max(message.dynamic_batching.preferred_batch_size, default=largest)
    return {
        option: ",".join(
            f"{spec.name}:{'x'.join(map(str, (size, *(spec.reshape or spec.dims))))}"
            for spec in specs
        )
        for option, size in zip(PROFILES, (1, best, largest), strict=True)
    }


def _usable(folders: Sequence[Path]) -> Path:
    reasons = []
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError as err:
            if any(folder.glob("*.engine")):
                return folder
            reasons.append(f"{folder}: {err.strerror or err}")
    raise ProviderError(
        f"TensorRT's engine cannot be kept: {'; '.join(reasons)}; "
        "give a folder that can be written to as --engine_cache_dir"
    )
