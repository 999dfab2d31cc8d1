"""The real tritonserver that nvidia-pytriton carries, in a process of its own.

Its Python environment is `.venv-triton`, which `make triton` installs: pytriton wants an older numpy
than this project. The wheel has a server, a Python backend and a stub for each Python; they are put
together here, beside a backend of ours that runs ONNX files (backend/model.py).
"""

import contextlib
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.live_server import LiveServer, free_port, wait_for

ROOT: Final = Path(__file__).resolve().parents[2]
ENVIRONMENT: Final = ROOT / ".venv-triton"
_PACKAGES: Final = ENVIRONMENT / "lib/python3.11/site-packages"
_DISTRIBUTION: Final = _PACKAGES / "pytriton/tritonserver"
BINARY: Final = _DISTRIBUTION / "bin/tritonserver"
STRICT: Final = (
    "--disable-auto-complete-config",
    "--exit-on-error=false",
    "--strict-readiness=false",
)
"""Flags with which it completes no configuration, and is ready though models are broken."""


def make_backends(folder: Path, *, with_onnxruntime: bool = True) -> Path:
    """A folder of Triton's backends: Python's, and onnxruntime on top of it if wanted."""
    python = folder / "python"
    shutil.copytree(_DISTRIBUTION / "backends/python", python)
    stub = "python_backend_stubs/3.11/triton_python_backend_stub"
    shutil.copy(_DISTRIBUTION / stub, python)
    if with_onnxruntime:
        (folder / "onnxruntime").mkdir()
        shutil.copy(Path(__file__).parent / "backend/model.py", folder / "onnxruntime")
    return folder


def start_triton(folder: Path, repository: Path, backends: Path, *flags: str) -> LiveServer:
    """Start tritonserver; it may not be ready, or not even listen, yet."""
    http_port, grpc_port = free_port(), free_port()
    command = [str(BINARY), f"--model-repository={repository}"]
    command += [f"--backend-directory={backends}", "--http-address=127.0.0.1"]
    command += [f"--http-port={http_port}", f"--grpc-port={grpc_port}", "--allow-metrics=false"]
    libraries = [_PACKAGES / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR")]
    environ = {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(str(path) for path in libraries),
        "PATH": f"{ENVIRONMENT / 'bin'}:{os.environ['PATH']}",
    }
    log = folder / "triton.log"
    with log.open("wb") as out:
        process = subprocess.Popen([*command, *flags], stdout=out, stderr=out, env=environ)
    return LiveServer(process, http_port, grpc_port, log)


@contextlib.contextmanager
def live_triton(folder: Path, repository: Path, *flags: str) -> Iterator[LiveServer]:
    """A tritonserver that is ready."""
    backends = make_backends(folder / "backends")
    with killed(start_triton(folder, repository, backends, *flags)) as server:
        yield server


@contextlib.contextmanager
def killed(server: LiveServer) -> Iterator[LiveServer]:
    """The server once it answers; it is killed then, broken models and all."""
    try:
        wait_for(server)
        yield server
    finally:
        server.process.kill()
        server.process.wait()
