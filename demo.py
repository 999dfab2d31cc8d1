"""make demo: from drawn pictures to three answers, by the commands that a user would type.

Each command is printed before it is run. Everything goes into the folder demo/, which is drawn,
trained and published anew each time.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

BIN = Path(sys.executable).parent
FOLDER = Path("demo")
NAME = "shapes"
READY_S = 60
DRAW = ["--count", "300"]
TRAIN = ["--model", "resnet-tiny", "--input_size", "32", "--learning_rate", "0.02"]
TRAIN += ["--num_train_epochs", "40"]


def main() -> None:
    """Draw, train, publish, serve, ask, stop."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    started = time.monotonic()
    data, repository = str(FOLDER / "data"), str(FOLDER / "model_repository")
    task = ["--task", "image-classification"]
    run("aperture-train", "sample-data", *task, *DRAW, data)
    fit = ["fit", *task, "--data", data, "--model_repository", repository, "--name", NAME]
    run("aperture-train", *fit, "--output_dir", str(FOLDER / "run"), *TRAIN)
    http, grpc = free_port(), free_port()
    picture = str(sorted(Path(data, "test").glob("*/*.png"))[0])
    with serving(repository, http, grpc):
        print(f"\nThe picture: {picture}")
        run(
            "python",
            "-W",
            "ignore",
            "examples/ask_v1.py",
            f"http://localhost:{http}",
            NAME,
            picture,
        )
        run("python", "examples/ask_v2_rest.py", f"localhost:{http}", NAME, picture)
        run("python", "examples/ask_v2_grpc.py", f"localhost:{grpc}", NAME, picture)
    print(f"\nDone in {time.monotonic() - started:.0f} s; what was made is in {FOLDER}/.")


def run(program: str, *arguments: str) -> None:
    """Print a command and run it; a failure ends the demo with its status."""
    print(f"\n$ {program} {' '.join(arguments)}", flush=True)
    done = subprocess.run([str(BIN / program), *arguments], check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)


@contextlib.contextmanager
def serving(repository: str, http: int, grpc: int) -> Iterator[None]:
    """Run a server, ready inside the block, ended by SIGTERM behind it."""
    ports = ["--http_port", str(http), "--grpc_port", str(grpc)]
    command = ["aperture-serve", "--model_repository", repository, *ports]
    print(f"\n$ {' '.join(command)} &", flush=True)
    server = subprocess.Popen([str(BIN / command[0]), *command[1:]])
    try:
        wait_until_ready(server, f"http://localhost:{http}/v2/health/ready")
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        status = server.wait()
    if status != 0:
        sys.exit(f"the server ended with status {status}")


def wait_until_ready(server: "subprocess.Popen[bytes]", url: str) -> None:
    """Poll the server's readiness; ends the demo if it does not come."""
    deadline = time.monotonic() + READY_S
    while server.poll() is None and time.monotonic() < deadline:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(url, timeout=5),  # noqa: S310  # our own http:// address
        ):
            return
        time.sleep(0.1)
    sys.exit(f"the server was not ready within {READY_S} s")


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
