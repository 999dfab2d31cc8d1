"""make demo: from drawn pictures to answers, for each task, by the commands that a user would type.

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
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
FOLDER = Path("demo")
REPOSITORY = str(FOLDER / "model_repository")
READY_S = 60


@dataclass(frozen=True)
class Demo:
    """A task, shown.

    Attributes:
        task: The task.
        name: The name that its model is published and asked by.
        draw: What is drawn.
        train: What is trained on it.
        test_pictures: The pictures of the test split within the dataset's folder.
    """

    task: str
    name: str
    draw: str
    train: str
    test_pictures: str

    @property
    def data(self) -> Path:
        """The dataset's folder."""
        return FOLDER / "data" / self.name

    @property
    def picture(self) -> str:
        """The picture that the model is asked about."""
        return str(min(self.data.glob(self.test_pictures)))


CLASSIFICATION = Demo(
    task="image-classification",
    name="shapes",
    draw="--count 300",
    train="--model resnet-tiny --input_size 32 --learning_rate 0.02 --num_train_epochs 12",
    test_pictures="test/*/*.png",
)
SEGMENTATION = Demo(
    task="semantic-segmentation",
    name="masks",
    draw="--labels 2 --count 120",
    train="--model segformer-tiny --input_size 64 --learning_rate 0.003 --num_train_epochs 8 "
    "--per_device_train_batch_size 8",
    test_pictures="test/images/*.png",
)
DETECTION = Demo(
    task="object-detection",
    name="boxes",
    draw="--labels 2 --count 120",
    train="--model rtdetr-v2-tiny --input_size 64 --learning_rate 0.002 --num_train_epochs 6 "
    "--per_device_train_batch_size 8 --precision fp32 --threshold 0.45",
    test_pictures="test/*.png",
)


def main() -> None:
    """Draw, train and publish a model of each task; serve them together, ask each, stop."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    started = time.monotonic()
    for demo in (CLASSIFICATION, SEGMENTATION, DETECTION):
        train(demo)
    http, grpc = free_port(), free_port()
    with serving(http, grpc):
        ask(http, grpc)
    print(f"\nDone in {time.monotonic() - started:.0f} s; what was made is in {FOLDER}/.")


def train(demo: Demo) -> None:
    """Draw the task's pictures, train on them, publish."""
    task = ["--task", demo.task]
    run("aperture-train", "sample-data", *task, *demo.draw.split(), str(demo.data))
    fit = ["fit", *task, "--data", str(demo.data), "--model_repository", REPOSITORY]
    fit += ["--name", demo.name, "--output_dir", str(FOLDER / "runs" / demo.name)]
    run("aperture-train", *fit, *demo.train.split())


def ask(http: int, grpc: int) -> None:
    """Ask the classifier over three protocols, and the others for what they are for."""
    model = [CLASSIFICATION.name, CLASSIFICATION.picture]
    run("python", "-W", "ignore", "examples/ask_v1.py", f"http://localhost:{http}", *model)
    run("python", "examples/ask_v2_rest.py", f"localhost:{http}", *model)
    run("python", "examples/ask_v2_grpc.py", f"localhost:{grpc}", *model)
    model = [SEGMENTATION.name, SEGMENTATION.picture, str(FOLDER / "mask.png")]
    run("python", "examples/ask_mask.py", f"http://localhost:{http}", *model)
    model = [DETECTION.name, DETECTION.picture]
    run("python", "examples/ask_boxes.py", f"http://localhost:{http}", *model)


def run(program: str, *arguments: str) -> None:
    """Print a command and run it; a failure ends the demo with its status."""
    print(f"\n$ {program} {' '.join(arguments)}", flush=True)
    done = subprocess.run([str(BIN / program), *arguments], check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)


@contextlib.contextmanager
def serving(http: int, grpc: int) -> Iterator[None]:
    """Run a server, ready inside the block, ended by SIGTERM behind it."""
    ports = ["--http_port", str(http), "--grpc_port", str(grpc)]
    command = ["aperture-serve", "--model_repository", REPOSITORY, *ports]
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
