from pathlib import Path

import pytest

from contract.errors import OptionsError
from server.cli import parse_options
from server.settings import LARGEST_BODY, ServerOptions


def served(*flags: str, **variables: str) -> ServerOptions:
    return parse_options(["serve", *flags], {f"SAGEMAKER_{key}": v for key, v in variables.items()})


def test_a_container_serves_what_lies_in_opt_ml() -> None:
    options = served()
    assert options.model_dir == Path("/opt/ml/model")
    assert (options.http_port, options.grpc_port) == (8080, 8081)
    # SIGKILL comes 30 s after SIGTERM.
    assert options.shutdown_delay + options.grace_period < 30


def test_variables_of_the_platform_are_options() -> None:
    options = served(
        BASE_DIR="/tmp/ml",  # noqa: S108  # a name, not a file
        BIND_TO_PORT="9000",
        DEFAULT_INVOCATIONS_ACCEPT="application/jsonlines",
        MODEL_SERVER_TIMEOUT="20",
        MODEL_SERVER_WORKERS="4",
        BATCH="true",
        MAX_PAYLOAD_IN_MB="20",
        BATCH_STRATEGY="MULTI_RECORD",
        MAX_CONCURRENT_TRANSFORMS="3",
        REGION="eu-central-1",
    )
    assert str(options.model_dir) == "/tmp/ml/model"  # noqa: S108
    assert options.http_port == 9000
    assert options.invocations_accept == "application/jsonlines"
    assert (options.invocations_timeout, options.batch_transform) == (20, True)
    assert (options.max_payload_in_mb, options.max_concurrent_transforms) == (20, 3)
    assert options.batch_strategy == "MULTI_RECORD"
    assert options.http_max_input_size == LARGEST_BODY


def test_flags_and_our_own_variables_win() -> None:
    environ = {"SAGEMAKER_BIND_TO_PORT": "9000", "APERTURE_HTTP_PORT": "9001"}
    assert parse_options(["serve"], environ).http_port == 9001
    assert parse_options(["serve", "--http_port", "9002"], environ).http_port == 9002
    options = parse_options(["serve", "--model_repository", "models"], environ)
    assert (options.model_repository, options.model_dir) == (Path("models"), None)


def test_larger_records_raise_the_limit_of_a_body() -> None:
    assert served(MAX_PAYLOAD_IN_MB="100").http_max_input_size == 100 * 2**20
    flag = ["serve", "--max_payload_in_mb", "90"]
    assert parse_options(flag, {}).http_max_input_size == 90 * 2**20
    assert parse_options([*flag, "--http_max_input_size", "1000"], {}).http_max_input_size == 1000


@pytest.mark.parametrize(
    ("variables", "port"),
    [
        ({"SAFE_PORT_RANGE": "9000-9999"}, 9000),
        ({"SAFE_PORT_RANGE": "9000-9999", "BIND_TO_PORT": "9000"}, 9001),
        ({"SAFE_PORT_RANGE": "8080-8090"}, 8081),
        ({"BIND_TO_PORT": "8081"}, 8082),
    ],
)
def test_grpc_takes_a_port_that_the_container_may_have(
    variables: dict[str, str], port: int
) -> None:
    assert served(**variables).grpc_port == port


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SAFE_PORT_RANGE": "9000"}, "SAGEMAKER_SAFE_PORT_RANGE: got '9000', expected FIRST-LAST"),
        (
            {"SAFE_PORT_RANGE": "9000-8000"},
            "SAGEMAKER_SAFE_PORT_RANGE: got '9000-8000', expected FIRST-LAST, from 1 to 65535, "
            "FIRST not after LAST",
        ),
        (
            {"SAFE_PORT_RANGE": "99999-99999"},
            "SAGEMAKER_SAFE_PORT_RANGE: got '99999-99999', expected FIRST-LAST, from 1 to 65535",
        ),
        ({"SAFE_PORT_RANGE": "8080-8080"}, "which leaves gRPC no port beside 8080"),
        (
            {"BIND_TO_PORT": "none"},
            "SAGEMAKER_BIND_TO_PORT: got 'none', expected int in [1, 65535]",
        ),
        ({"BATCH": "maybe"}, "SAGEMAKER_BATCH: got 'maybe', expected bool"),
        (
            {"MULTI_MODEL": "true"},
            "SAGEMAKER_MULTI_MODEL: this server loads no models over /models",
        ),
        (
            {"MAX_PAYLOAD_IN_MB": "101"},
            "SAGEMAKER_MAX_PAYLOAD_IN_MB: got '101', expected int in [0, 100]",
        ),
        ({"MAX_PAYLOAD_IN_MB": "9" * 5000}, "SAGEMAKER_MAX_PAYLOAD_IN_MB: got '999"),
        ({"BATCH_STRATEGY": "Single"}, "expected SINGLE_RECORD|MULTI_RECORD"),
    ],
)
def test_what_cannot_be_understood_is_one_line(variables: dict[str, str], message: str) -> None:
    with pytest.raises(OptionsError) as caught:
        served(**variables)
    (problem,) = caught.value.problems
    assert message in problem


@pytest.mark.parametrize(
    ("flags", "environ", "port"),
    [
        (["--http_port", "8081"], {}, 8082),
        ([], {"APERTURE_HTTP_PORT": "8081"}, 8082),
        (["--http_port", "8081", "--metrics_port=8082"], {}, 8083),
        (["--http_port", "9000"], {"SAGEMAKER_SAFE_PORT_RANGE": "9000-9001"}, 9001),
        (["--http_port", "9000"], {"SAGEMAKER_BIND_TO_PORT": "8081"}, 8081),
        (["--grpc_port", "9000"], {"SAGEMAKER_SAFE_PORT_RANGE": "8080-8080"}, 9000),
        (["--http_port", "1", "--grpc_port", "8080"], {}, 8080),
    ],
)
def test_grpc_avoids_the_ports_that_the_user_gave(
    flags: list[str], environ: dict[str, str], port: int
) -> None:
    assert parse_options(["serve", *flags], environ).grpc_port == port


def test_a_value_is_blamed_on_who_gave_it() -> None:
    environ = {"SAGEMAKER_BIND_TO_PORT": "9000", "APERTURE_HTTP_PORT": "none"}
    with pytest.raises(OptionsError, match=r"^http_port: got 'none'"):
        parse_options(["serve"], environ)


def test_variables_count_with_serve_alone() -> None:
    options = parse_options(["--model_dir", "m"], {"SAGEMAKER_BATCH": "true"})
    assert not options.batch_transform
