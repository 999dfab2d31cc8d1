"""Back to the former version, as docs/deploy.md has it, under a steady load.

The server has the arguments of the pods of overlays/cpu, whose claim is a folder here, and of
overlays/s3-poll, whose bucket is one of a real S3 server.
"""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from contract.bucket import Store
from contract.locations import Bucket, Location
from tests.k8s.document import TEXT
from tests.k8s.pods import MODELS, predictors_of
from tests.k8s.rendered import kubectl, rendered
from tests.live_server import live_server, wait_for, wait_until
from tests.steady_load import check_versions, picture_files, serves, steady_load
from tests.storage.local_s3 import LocalS3
from tests.tiny_models import publish_colour
from trainer.files import replace_text

pytestmark = kubectl
MODEL = "shapes"
FORMER, NEW, NEXT = 16, 32, 64
POLICY = "version_policy { specific { versions: 1 } }"
CACHE = "/mnt/cache"
OF_THIS_MACHINE = ("--http_port=", "--grpc_port=", "--shutdown_delay=")


def roll_back(place: Location, flags: list[str], folder: Path, withdraw: Callable[[], None]) -> int:
    """Publish two versions, withdraw the second, publish another one: the number that it got."""
    publish_colour(place, FORMER, MODEL)
    publish_colour(place, NEW, MODEL)
    flags = [*flags, "--repository_poll_secs=1", "--precision=fp32"]
    with live_server(folder / "log", *flags) as server:
        wait_for(server, f"/v2/models/{MODEL}/ready")  # in s3-poll a server is ready without it
        with steady_load(server, MODEL, picture_files(folder)) as load:
            wait_until(lambda: serves(server, MODEL, 2))
            withdraw()
            wait_until(lambda: serves(server, MODEL, 1))
            number = publish_colour(place, NEXT, MODEL).version
            wait_until(lambda: serves(server, MODEL, number))
            found = load.stop()
    check_versions(found, [FORMER, NEW, NEXT])
    return number


def flags_of(overlay: str, container_path: str, path: Path) -> list[str]:
    """The arguments of the overlay's pod, without those that two servers of one machine cannot share."""
    (pod,) = predictors_of(rendered(f"overlays/{overlay}"))
    args = [arg for arg in pod.main["args"] if not arg.startswith(OF_THIS_MACHINE)]
    assert "--model_control_mode=poll" in args
    (moved,) = [arg for arg in args if arg.endswith(f"={container_path}")]
    args[args.index(moved)] = moved.replace(container_path, str(path))
    return args


def delete(version: Path) -> None:
    shutil.rmtree(version)


def move_away(version: Path) -> None:
    version.rename(version.with_name("withdrawn"))


def choose_the_former(version: Path) -> None:
    config = version.parent / "config.pbtxt"
    replace_text(config, f"{config.read_text(encoding='utf-8')}\n{POLICY}\n")


@pytest.mark.parametrize(
    ("withdraw", "next_number"), [(delete, 2), (move_away, 2), (choose_the_former, 3)]
)
def test_a_volume_s_former_version_answers_again_and_no_request_is_lost(
    tmp_path: Path, withdraw: Callable[[Path], None], next_number: int
) -> None:
    model = tmp_path / "volume" / MODEL
    flags = flags_of("cpu", MODELS, model)
    withdrawn = partial(withdraw, model / "2")
    assert roll_back(model.parent, flags, tmp_path, withdrawn) == next_number


def test_a_bucket_s_former_version_answers_again_and_no_request_is_lost(
    s3: LocalS3, tmp_path: Path
) -> None:
    flags = flags_of("s3-poll", CACHE, tmp_path / "cache")
    (url,) = (flag.partition("=")[2] for flag in flags if flag.startswith("--model_repository="))
    s3.bucket(url.split("/")[2])
    bucket = Bucket(url)
    store = Store(bucket / MODEL)

    def withdraw() -> None:
        for key in store.list():
            if key.startswith("2/"):
                store.delete(key)

    assert roll_back(bucket, flags, tmp_path, withdraw) == 2


def test_the_document_names_the_policy() -> None:
    assert f"`{POLICY}`" in TEXT
