import subprocess
import sys
from pathlib import Path

import pytest

from contract.errors import OptionsError
from server.cli import parse_options
from tests.live_server import free_port, start_server, wait_for

EXPLICIT = ["--model_repository", "a", "--model_control_mode", "explicit"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give either --model_repository DIR, or --model_dir DIR"),
        (["--model_dir", "a", "--model_repository", "b"], "give either --model_repository DIR"),
        (["--model_repository", "a", "--model_name", "n"], "--model_dir, which is not given"),
        (
            ["--model_dir", "s3://b/m"],
            "model_dir: got 's3://b/m', expected a path of this machine, not a URL",
        ),
        (
            ["--model_repository", "http://127.0.0.1:9/models"],
            "model_repository: got 'http://127.0.0.1:9/models', expected a folder, or a URL: file:",
        ),
        (
            ["--model_repository", "s3://b/m", "--bucket_cache_dir", "s3://b/cache"],
            "bucket_cache_dir: got 's3://b/cache', expected a path of this machine, not a URL",
        ),
        (["--model_repository", "a", "--http_port", "0"], "http_port: got '0', expected int in"),
        (["--model_repository", "a", "--htp_port", "9"], "htp_port: unknown option; did you mean"),
        (["--model_repository", "a", "stray"], "unexpected argument 'stray'"),
        (["--model-repository", "a", "--htp-port=9"], "htp_port: unknown option; did you mean"),
        (["--model_repository", "a", "--model_control_mode", "all"], "none|poll|explicit"),
        (
            ["--model_repository", "a", "--repository_poll_secs", "0"],
            "repository_poll_secs: got '0', expected int in [1, inf)",
        ),
        (["--model_repository", "a", "--load_model", "m"], "needs --model_control_mode explicit"),
        (
            [*EXPLICIT, "--load_model", "*", "--load_model", "m"],
            "must be the only one",
        ),
        (
            ["--model_repository", "a", "--http_port", "9", "--grpc_port", "9"],
            "--http_port and --grpc_port are both 9",
        ),
        *(
            (["--model_repository", "a", "--cache-config", text], f"got '{text}', expected local,")
            for text in ("local", "local,size=0", "local,size=5MB", "redis,host=a", "size=5")
        ),
    ],
)
def test_bad_options_are_one_line_each(argv: list[str], message: str) -> None:
    with pytest.raises(OptionsError) as caught:
        parse_options(argv, {})
    (problem,) = caught.value.problems
    assert message in problem


def test_variables_give_what_flags_do_not() -> None:
    environ = {"APERTURE_MODEL_REPOSITORY": "r", "APERTURE_HTTP_PORT": "9", "APERTURE_PORT": "tcp"}
    options = parse_options(["--http_port", "10"], environ)
    assert (options.model_repository, options.http_port) == (Path("r"), 10)
    options = parse_options(["--model_dir", "m"], environ)
    assert (options.model_repository, options.model_dir) == (None, Path("m"))


def test_tritons_command_line_is_understood() -> None:
    argv = ["--model-repository=r-s", "--model-control-mode=explicit", "--load-model=a-b"]
    argv += ["--load-model", "c", "--strict-readiness=false", "--exit-on-error", "--http-port=9"]
    options = parse_options(argv, {})
    assert options.model_repository == Path("r-s")
    assert (options.model_control_mode, options.load_model) == ("explicit", ("a-b", "c"))
    assert (options.strict_readiness, options.exit_on_error, options.http_port) == (False, True, 9)


def test_a_variable_names_several_models() -> None:
    environ = {"APERTURE_LOAD_MODEL": "a,b", "APERTURE_MODEL_CONTROL_MODE": "explicit"}
    assert parse_options(["--model_dir", "m"], environ).load_model == ("a", "b")
    argv = ["--model_dir", "m", "--load_model", "c"]
    assert parse_options(argv, environ).load_model == ("c",)


def serve(*flags: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "server", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_missing_folder_ends_with_one_line(tmp_path: Path) -> None:
    done = serve("--model_repository", str(tmp_path / "absent"))
    assert done.returncode == 1
    assert f"error: {tmp_path / 'absent'} is not a folder" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "flags", [["--model_dir", "{}/model"], ["serve"]], ids=["KServe", "SageMaker"]
)
def test_what_a_platform_mounts_without_a_model_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    (tmp_path / "model" / "code").mkdir(parents=True)
    ports = [f"--{name}_port={free_port()}" for name in ("http", "grpc")]
    done = serve(*(flag.format(tmp_path) for flag in flags), *ports)
    assert done.returncode == 1
    assert f"error: {tmp_path / 'model'} holds no model, but code/; expected NAME/" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mounted_folder_may_be_empty_where_models_may_follow(tmp_path: Path) -> None:
    flags = ["--model_dir", str(tmp_path), "--model_control_mode", "poll"]
    server = start_server(tmp_path / "log", *flags)
    try:
        wait_for(server, "/ping", 503)
    finally:
        assert server.stop() == 0
    assert f"repository={tmp_path} holds no model; none is served" in server.log.read_text()


def test_bad_options_end_with_2() -> None:
    done = serve("--model_repository", "a", "--threads", "-1")
    assert done.returncode == 2
    assert done.stderr == "error: threads: got '-1', expected int in [0, inf)\n"


def test_what_opentelemetry_refuses_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER", "absent")
    ports = [f"--{name}_port={free_port()}" for name in ("http", "grpc")]
    done = serve("--model_repository", str(tmp_path), *ports)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: OpenTelemetry does not start as its variables ask: Requested")
    assert "'absent'" in line


def test_opentelemetrys_variables_are_nothing_where_no_traces_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KServe imports what reads them."""
    monkeypatch.setenv("OTEL_PROPAGATORS", "b3")
    ports = [f"--{name}_port={free_port()}" for name in ("http", "grpc")]
    done = serve("--model_repository", str(tmp_path / "absent"), *ports)
    assert "is not a folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_cache_is_configured_as_tritons() -> None:
    options = parse_options(["--model-repository=r", "--cache-config=local,size=1048576"], {})
    assert options.cache_bytes == 1_048_576
    assert parse_options(["--model-repository=r"], {}).cache_bytes == 0
