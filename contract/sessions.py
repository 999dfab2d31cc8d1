"""A choice of contract/providers.py -> an open session of onnxruntime.

OpenVINO comes as a plug-in library, CUDA and TensorRT as another build of onnxruntime.
"""

import ctypes
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import onnxruntime as ort

from contract.choice import Choice, Machine, Provider
from contract.engines import PROFILES
from contract.errors import ProviderError
from contract.external_data import read_external_data
from contract.hardware import cuda_device_count, read_cpu_flags
from contract.tuning import Tuning

logger = logging.getLogger(__name__)

NAMES: Final[Mapping[Provider, str]] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""What onnxruntime calls the providers."""

# In the order in which they need each other.
_TENSORRT_LIBRARIES: Final = ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser")


@dataclass(frozen=True, slots=True)
class Launch:
    """How a session is to be opened.

    Attributes:
        path: The model's file.
        choice: With what.
        threads: Threads of one run on the CPU.
        device: The CUDA device.
        tuning: How onnxruntime is to run it.
    """

    path: Path
    choice: Choice
    threads: int
    device: int = 0
    tuning: Tuning = field(default_factory=Tuning)


@cache
def detect_machine() -> Machine:
    """Look once at the installed providers, the GPUs and the CPU."""
    providers = ort.get_available_providers()
    return Machine(
        gpus=cuda_device_count() if NAMES["cuda"] in providers else 0,
        has_tensorrt=NAMES["tensorrt"] in providers,
        has_openvino=bool(_openvino_devices()),
        cpu_flags=read_cpu_flags(),
    )


def open_session(launch: Launch) -> ort.InferenceSession:
    """Open a model.

    Raises:
        ProviderError: onnxruntime refuses the file, or the provider refuses the model.
    """
    choice = launch.choice
    options = ort.SessionOptions()
    launch.tuning.apply(options, launch.threads)
    # Waiting threads would take the cores from those that decode the next pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    providers: Sequence[Any] | None = gpu_providers(choice, launch.device)
    if choice.provider == "openvino":
        options.add_provider_for_devices(
            _openvino_devices(), _openvino_options(choice, launch.tuning.threads(launch.threads))
        )
        providers = None
    try:
        if choice.provider in ("cuda", "tensorrt"):
            _preload_libraries(choice.provider)
        data = read_external_data(launch.path)  # which onnxruntime copies while it opens
        options.add_external_initializers_from_files_in_memory(
            list(data), list(data.values()), [content.nbytes for content in data.values()]
        )
        session = _open(launch.path, options, providers, choice)
    except Exception as err:  # onnxruntime's errors share no base class below Exception
        raise ProviderError(f"{launch.path}: onnxruntime cannot load it: {err}") from err
    if NAMES[choice.provider] not in session.get_providers():
        raise ProviderError(
            f"{launch.path}: {NAMES[choice.provider]} did not start; got {session.get_providers()}"
        )
    return session


def gpu_providers(choice: Choice, device: int) -> list[Any]:
    """The providers of a session that is not OpenVINO's, each node going to the first that can."""
    on_device = {"device_id": str(device)}
    match choice.provider:
        case "tensorrt":
            engine = (NAMES["tensorrt"], {**choice.options, **on_device})
            return [engine, (NAMES["cuda"], on_device), NAMES["cpu"]]
        case "cuda":
            return [(NAMES["cuda"], {**choice.options, **on_device}), NAMES["cpu"]]
        case _:
            return [NAMES["cpu"]]


def _open(
    path: Path, options: ort.SessionOptions, providers: Sequence[Any] | None, choice: Choice
) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as err:  # onnxruntime's errors share no base class below Exception
        if providers is None or PROFILES[0] not in choice.options:
            raise
        # TensorRT wants a shape of every tensor that enters a part of the graph which it takes,
        # and those that another provider makes have no name that config.pbtxt could know. Without
        # shapes it takes those that it meets, in the warm-up.
        logger.info("tensorrt path=%s refuses the shapes of its inputs alone: %s", path, err)
    without = {key: value for key, value in choice.options.items() if key not in PROFILES}
    (name, first), *others = providers
    device = {"device_id": first["device_id"]}
    return ort.InferenceSession(str(path), options, providers=[(name, without | device), *others])


@cache
def _preload_libraries(provider: Provider) -> None:
    """Load the libraries of NVIDIA's pip packages, which lie on no search path.

    Raises:
        OSError: One cannot be loaded.
    """
    ort.preload_dlls()
    spec = find_spec("tensorrt_libs") if provider == "tensorrt" else None
    if spec is None:
        return
    for folder in spec.submodule_search_locations or ():
        for name in _TENSORRT_LIBRARIES:
            for library in Path(folder).glob(f"{name}.so.*"):
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


@cache
def _openvino_devices() -> list[ort.OrtEpDevice]:
    """Register the plug-in library once in this process and return its CPU devices.

    None where it is not installed, or where the CPU is none that it takes: it passes over those of
    other makers than Intel.
    """
    if find_spec("onnxruntime_ep_openvino") is None:
        return []
    import onnxruntime_ep_openvino as openvino  # noqa: PLC0415  # absent from the GPU image

    try:
        ort.register_execution_provider_library(openvino.get_ep_name(), openvino.get_library_path())
    except Exception:  # onnxruntime's errors share no base class below Exception
        logger.exception("OpenVINO's plug-in cannot be loaded; models are served without it")
        return []
    return [
        device
        for device in ort.get_ep_devices()
        if device.ep_name == openvino.get_ep_name()
        and device.device.type == ort.OrtHardwareDeviceType.CPU
    ]


def _openvino_options(choice: Choice, threads: int) -> dict[str, str]:
    hint = "bf16" if choice.precision == "bf16" else "f32"
    cpu = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
    return {"load_config": json.dumps({"CPU": cpu})}
