"""What a machine, a configuration, a measurement and flags choose together."""

from dataclasses import replace

import pytest

from contract.accelerators import Accelerator
from contract.choice import Asked, Choice, Machine, Model
from contract.errors import ProviderError
from contract.placement import Placement
from contract.precision import Guard, Measurement, Precision
from contract.providers import choices

AMX = frozenset({"amx_bf16", "sse2"})
CPU = Machine(gpus=0, has_tensorrt=False, has_openvino=True, cpu_flags=AMX)
PLAIN = replace(CPU, cpu_flags=frozenset({"sse2"}))
BARE = replace(CPU, has_openvino=False)
GPU = Machine(gpus=2, has_tensorrt=True, has_openvino=False, cpu_flags=AMX)
ON_GPU = Placement(1, (0, 1))


def guard(lower: Precision, value: float, graph: Precision = "fp32") -> Guard:
    values: dict[Precision, float] = {"fp32": 0.9, lower: value}
    return Guard(Measurement("accuracy", values, 500, 0.005, "", graph), graph=graph)


GOOD = guard("bf16", 0.896)
BAD = guard("bf16", 0.89)


def first(
    machine: Machine, model: Model, provider: str = "auto", precision: str = "auto"
) -> Choice:
    return choices(machine, model, Asked(provider, precision))[0]


@pytest.mark.parametrize(
    ("machine", "measured", "asked", "chosen", "reason"),
    [
        (CPU, GOOD, ("auto", "auto"), ("openvino", "bf16"), "the CPU has amx_bf16"),
        (CPU, GOOD, ("auto", "auto"), ("openvino", "bf16"), "accuracy 0.8960 in bf16"),
        (CPU, BAD, ("auto", "auto"), ("cpu", "fp32"), "0.8900 in bf16 and 0.9000 in fp32 on 500"),
        (CPU, BAD, ("auto", "auto"), ("cpu", "fp32"), "a loss over 0.005"),
        (CPU, Guard(), ("auto", "auto"), ("cpu", "fp32"), "bf16 was not measured"),
        (PLAIN, GOOD, ("auto", "auto"), ("cpu", "fp32"), "none of amx_bf16"),
        (BARE, GOOD, ("auto", "auto"), ("cpu", "fp32"), "provider openvino is not here"),
        (CPU, GOOD, ("cpu", "auto"), ("cpu", "fp32"), "provider cpu was asked for"),
        (CPU, GOOD, ("auto", "fp32"), ("cpu", "fp32"), "precision fp32 was asked for"),
        (CPU, GOOD, ("openvino", "fp32"), ("openvino", "fp32"), "provider openvino was asked for"),
        (PLAIN, GOOD, ("openvino", "auto"), ("openvino", "fp32"), "asked for"),
        (CPU, BAD, ("openvino", "auto"), ("openvino", "fp32"), "a loss over"),
        (CPU, GOOD, ("openvino", "auto"), ("openvino", "bf16"), "a loss within"),
    ],
)
def test_on_a_cpu(
    machine: Machine,
    measured: Guard,
    asked: tuple[str, str],
    chosen: tuple[str, str],
    reason: str,
) -> None:
    choice = first(machine, Model(guard=measured), *asked)
    assert (choice.provider, choice.precision) == chosen
    assert reason in choice.reason
    assert not choice.warning
    assert not choice.missing


@pytest.mark.parametrize(
    ("measured", "warning"),
    [
        (Guard(), "bf16 was not measured when this version was published; --precision asks for it"),
        (BAD, "a loss over 0.005; --precision asks for it"),
        (GOOD, ""),
    ],
)
def test_a_precision_that_the_user_names_wins_over_its_measurement(
    measured: Guard, warning: str
) -> None:
    choice = first(CPU, Model(guard=measured), precision="bf16")
    assert (choice.provider, choice.precision) == ("openvino", "bf16")
    assert choice.warning.endswith(warning)
    assert bool(choice.warning) == bool(warning)


def test_config_names_openvino_and_its_precision() -> None:
    model = Model({"openvino": Accelerator("bf16")}, guard=GOOD)
    choice = first(CPU, model)
    assert (choice.provider, choice.precision) == ("openvino", "bf16")
    assert first(CPU, model, precision="fp32").precision == "fp32"
    unmeasured = first(CPU, replace(model, guard=Guard()))
    assert unmeasured.precision == "bf16"
    assert unmeasured.warning.endswith("config.pbtxt asks for it")
    slow = first(PLAIN, model)
    assert slow.precision == "fp32"
    assert (
        slow.warning == "config.pbtxt names bf16, but the CPU has none of amx_bf16 and avx512_bf16"
    )


def providers(machine: Machine, model: Model, provider: str = "auto") -> list[str]:
    return [choice.provider for choice in choices(machine, model, Asked(provider))]


def test_each_provider_falls_back_to_the_next() -> None:
    every = replace(GPU, has_openvino=True)
    named = Model({"tensorrt": Accelerator()}, ON_GPU, GOOD)
    assert providers(every, named) == ["tensorrt", "cuda", "openvino", "cpu"]
    assert providers(every, replace(named, guard=BAD)) == ["tensorrt", "cuda", "cpu"]
    assert providers(GPU, Model(placement=ON_GPU)) == ["cuda", "cpu"]
    assert providers(GPU, Model(placement=ON_GPU), "tensorrt") == ["tensorrt", "cuda", "cpu"]
    assert providers(every, named, "openvino") == ["openvino", "cpu"]
    assert providers(every, named, "cpu") == ["cpu"]
    assert choices(GPU, named)[1].reason == "tensorrt failed"


def test_tensorrt_computes_in_fp16_where_that_was_measured() -> None:
    named = Accelerator("", {"trt_min_subgraph_size": "5"})
    model = Model({"tensorrt": named}, ON_GPU, guard("fp16", 0.899))
    choice = first(GPU, model)
    assert (choice.provider, choice.precision) == ("tensorrt", "fp16")
    assert choice.options == {"trt_min_subgraph_size": "5", "trt_fp16_enable": "1"}
    assert "config.pbtxt names tensorrt; accuracy 0.8990 in fp16" in choice.reason
    unmeasured = first(GPU, replace(model, guard=Guard()))
    assert unmeasured.precision == "fp32"
    assert unmeasured.options == {"trt_min_subgraph_size": "5"}
    told = first(GPU, Model({"tensorrt": Accelerator("int8")}, ON_GPU))
    assert told.options == {"trt_int8_enable": "1"}
    assert told.warning == (
        "int8 was not measured when this version was published; config.pbtxt asks for it"
    )
    assert first(GPU, Model(placement=ON_GPU), precision="fp16").provider == "tensorrt"


def test_cuda_computes_in_fp32_unless_config_allows_less() -> None:
    assert first(GPU, Model(placement=ON_GPU)).options == {"use_tf32": "0"}
    tf32 = Model({"cuda": Accelerator("", {"use_tf32": "1"})}, ON_GPU)
    assert first(GPU, tf32).options == {"use_tf32": "1"}


@pytest.mark.parametrize(
    ("machine", "model", "missing"),
    [
        (CPU, Model({"tensorrt": Accelerator()}), "names tensorrt, but there is no CUDA device"),
        (CPU, Model(placement=Placement(lacks_gpu=True)), "asks for KIND_GPU, but there is no"),
        (CPU, Model({"tensorrt": Accelerator(), "openvino": Accelerator()}), ""),
        (CPU, Model({"cuda": Accelerator()}, Placement(is_forced_to_cpu=True)), ""),
        (BARE, Model({"openvino": Accelerator()}), "pip install onnxruntime-ep-openvino"),
        (
            replace(GPU, has_tensorrt=False),
            Model({"tensorrt": Accelerator()}, ON_GPU),
            "names tensorrt, but this onnxruntime was built without it",
        ),
    ],
)
def test_what_config_names_and_is_not_here_is_said(
    machine: Machine, model: Model, missing: str
) -> None:
    choice = first(machine, model)
    assert choice.provider == ("cuda" if machine.gpus else "cpu" if missing else choice.provider)
    assert missing in choice.missing
    assert bool(missing) == bool(choice.missing)
    assert not first(machine, model, provider="cpu").missing


def test_an_int8_graph_stays_one() -> None:
    model = Model(guard=guard("int8", 0.898, graph="int8"))
    choice = first(CPU, model)
    assert (choice.provider, choice.precision) == ("cpu", "int8")
    assert "the graph computes in int8; accuracy 0.8980 in int8" in choice.reason
    assert not choice.warning
    asked = first(CPU, model, precision="fp32")
    assert asked.precision == "int8"
    assert "cannot be run in fp32" in asked.warning
    named = replace(model, accelerators={"openvino": Accelerator("bf16")})
    assert first(CPU, named).precision == "int8"
    assert "cannot be run in bf16, which config.pbtxt names" in first(CPU, named).warning
    on_gpu = first(GPU, replace(model, placement=ON_GPU, accelerators={"tensorrt": Accelerator()}))
    assert on_gpu.options == {"trt_int8_enable": "1"}


@pytest.mark.parametrize(
    ("measured", "warning"),
    [
        (Guard(graph="int8"), "int8 was not measured when this version was published; the graph"),
        (guard("int8", 0.01, graph="int8"), "a loss over 0.005; the graph computes in int8 and"),
    ],
)
def test_an_int8_graph_that_no_measurement_allows_is_a_warning(
    measured: Guard, warning: str
) -> None:
    choice = first(CPU, Model(guard=measured))
    assert (choice.provider, choice.precision) == ("cpu", "int8")
    assert warning in choice.warning


@pytest.mark.parametrize(
    ("machine", "asked", "message"),
    [
        (CPU, ("cuda", "auto"), "no CUDA device"),
        (CPU, ("tensorrt", "auto"), "no CUDA device"),
        (replace(GPU, has_tensorrt=False), ("tensorrt", "auto"), "built without it"),
        (BARE, ("openvino", "auto"), "pip install onnxruntime-ep-openvino"),
        (PLAIN, ("auto", "bf16"), "the CPU has none of"),
        (CPU, ("cpu", "bf16"), "bf16 needs provider openvino; got provider cpu"),
        (replace(GPU, has_openvino=True), ("cuda", "bf16"), "needs provider openvino"),
        (GPU, ("cuda", "fp16"), "fp16 needs provider tensorrt; got provider cuda"),
        (CPU, ("auto", "fp16"), "needs a CUDA device and TensorRT"),
    ],
)
def test_flags_that_no_model_can_be_run_with_are_refused(
    machine: Machine, asked: tuple[str, str], message: str
) -> None:
    with pytest.raises(ProviderError, match=message):
        choices(machine, Model(), Asked(*asked))
