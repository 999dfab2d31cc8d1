"""Where a repository lies, as a user writes it, and what a bucket needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from contract.locations import Bucket, absolute, parse_location

WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from contract.bucket import Store
from contract.errors import BucketError
from contract.locations import Bucket
try:
    Store(Bucket("s3://b/models"))
except BucketError as err:
    print(err)
"""


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("models", "models"),
        ("s3://b/models/", Bucket("s3://b/models")),
        ("gs://b", Bucket("gs://b")),
        ("file:///a%20b/c", Path("/a b/c")),
        (Path("models"), Path("models")),
    ],
)
def test_a_url_is_a_bucket_and_all_else_a_folder(written: object, meant: object) -> None:
    assert parse_location(written) == meant


@pytest.mark.parametrize(
    "url", ["s3:///models", "://b", "s3://b/m?x=1", "s3://b/m#x", "a::s3://b/m"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected a folder, or a URL such as s3://BUCKET/PREFIX"):
        parse_location(url)


def test_a_place_in_a_bucket_is_absolute() -> None:
    assert str(absolute(Bucket("s3://b/models") / "m" / "1")) == "s3://b/models/m/1"
    assert absolute(Path("models")) == Path.cwd() / "models"


@pytest.mark.parametrize("package", ["s3fs", "fsspec"])
def test_a_package_that_is_missing_is_named(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "cannot open s3://b/models: needs s3fs, which is not installed: "
        "pip install 'aperture-vision[s3]'\n"
    )
