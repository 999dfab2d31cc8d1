"""Where a repository lies, as a user writes it, and what a bucket needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from contract.locations import PACKAGES, Bucket, absolute, parse_location, parse_path

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
        ("S3://B/m", Bucket("s3://B/m")),
        ("file:///a%20b/c", Path("/a b/c")),
        ("file://localhost/a", Path("/a")),
        (Path("models"), Path("models")),
    ],
)
def test_a_url_is_a_bucket_and_all_else_a_folder(written: object, meant: object) -> None:
    assert parse_location(written) == meant


OTHERS = [
    *("http://127.0.0.1:9/models", "https://nonexistent.invalid/models", "ftp://127.0.0.1:9/x"),
    *("github://a:b@main/", "memory://b/m", "gcs://b/m", "://b", "s3:///models", "s3://b/m?x=1"),
    *("s3://b/m#x", "a::s3://b/m", "file://host/models", "file:///models?x=1", "file://"),
]


@pytest.mark.parametrize("url", OTHERS)
def test_other_urls_are_refused_with_those_that_are_not(url: str) -> None:
    with pytest.raises(
        ValueError, match="expected a folder, or a URL: file:///FOLDER, s3://"
    ) as no:
        parse_location(url)
    assert url in str(no.value)
    assert all(f"{scheme}://BUCKET/PREFIX" in str(no.value) for scheme in PACKAGES)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize("url", ["s3://b/m", "gs://b", "http://127.0.0.1:9/models", "://b"])
def test_a_path_of_this_machine_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="expected a path of this machine, not a URL"):
        parse_path(url)
    assert parse_path("a:b/c") == "a:b/c"
    assert parse_path("file:///a%20b/c") == Path("/a b/c")


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
