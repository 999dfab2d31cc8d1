"""What is done with the objects of a bucket.

It is a store of one of the schemes of locations.py: s3:// with s3fs, gs:// with gcsfs. Credentials and
endpoints are those of the store's own SDK: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, a mounted secret, a role. A
bucket has no folders and no renames; what it has is that an object appears whole or not at all, and
that an upload may ask to be refused where the object exists (`If-None-Match: *`).
"""

import errno
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from contract.errors import BucketError
from contract.locations import PACKAGES, Bucket
from contract.objects import Entry

_CHUNK_BYTES: Final = 16 << 20
_ABANDONED_AFTER: Final = timedelta(days=1)
_MOST_TEXT_BYTES: Final = 1 << 20
_OPTIONS: Final = {"max_pool_connections": 16, "connect_timeout": 5, "read_timeout": 15}
"""botocore's; it opens 10 connections at most, where nothing else is said."""
_HASTY_TRIES: Final = 2
"""s3fs tries 5 times, and botocore 5 times in each: 400 s, where a store does not answer."""
_ONE_REQUEST: Final = {"max_concurrency": 1}
"""s3fs's; it else holds ten pieces of 50 MiB of a large object in memory before it writes one."""


class Store:
    """The objects below a bucket's URL, by their keys from there.

    Args:
        bucket: Where they lie.
        hasty: Whether to try less often, so that a store which does not answer is known in a minute.

    Raises:
        BucketError: The package that its scheme needs is not installed.
    """

    def __init__(self, bucket: Bucket, *, hasty: bool = False) -> None:
        self.bucket = bucket
        self._fs = _open_filesystem(bucket, hasty=hasty)
        self._root: str = self._fs._strip_protocol(bucket.url).rstrip("/")

    def list(self) -> dict[str, Entry]:
        """All objects, by key; empty if there are none.

        Raises:
            BucketError: The bucket cannot be listed.
        """
        with self._named("list"):
            found: dict[str, dict[str, Any]] = self._fs.find(self._root, detail=True)
        start = len(self._root) + 1
        return {
            path[start:]: Entry(int(info["size"] or 0), _tag(info))
            for path, info in sorted(found.items())
            if info["type"] == "file" and len(path) > start and not path.endswith("/")
        }

    def read(self, key: str) -> bytes:
        """A small object's content.

        Raises:
            BucketError: It cannot be read, or is no small one.
        """
        with self._named("read", key):
            content: bytes = self._fs.cat_file(self._path(key), start=0, end=_MOST_TEXT_BYTES + 1)
        if len(content) > _MOST_TEXT_BYTES:
            raise BucketError("read", f"{self.bucket}/{key}", f"is over {_MOST_TEXT_BYTES} bytes")
        return content

    def download(self, key: str, path: Path, stop: threading.Event) -> None:
        """Write an object's content to a file; ends early where `stop` is set.

        Its tag is asked for first, and each piece is of that content: no file is made of two.

        Raises:
            BucketError: It cannot be read or written, or the download was stopped.
        """
        with (
            self._named("download", key),
            self._fs.open(self._path(key), "rb", block_size=_CHUNK_BYTES) as source,
            path.open("wb") as target,
        ):
            while chunk := source.read(_CHUNK_BYTES):
                if stop.is_set():
                    raise BucketError("download", f"{self.bucket}/{key}", "the server is stopping")
                target.write(chunk)

    def fetch(self, key: str, path: Path, stop: threading.Event) -> None:
        """Write a file, in one request and so fast for small objects; ends early by `stop`.

        Unlike `download` it may go on with another content, where the connection breaks off.

        Raises:
            BucketError: It cannot be read or written, or was stopped.
        """
        from fsspec.callbacks import Callback  # noqa: PLC0415  # as in _open_filesystem

        def look(*_: object) -> None:
            if stop.is_set():
                raise BucketError("download", f"{self.bucket}/{key}", "the command is ending")

        with self._named("download", key):
            options = _ONE_REQUEST if self._is_s3 else {}
            callback = Callback(hooks={"stop": look})
            self._fs.get_file(self._path(key), str(path), callback=callback, **options)

    def write(self, key: str, content: bytes, *, new: bool = False) -> None:
        """Write a small object in one step.

        Args:
            key: The object.
            content: What it is to hold.
            new: Whether to leave one that is there as it is.

        Raises:
            FileExistsError: It is there, and was to be new.
            BucketError: It cannot be written.
        """
        with self._named("write", key):
            mode = "create" if new else "overwrite"
            self._fs.pipe_file(self._path(key), content, mode=mode)

    def delete(self, key: str) -> None:
        """Delete an object.

        Raises:
            BucketError: It cannot be deleted.
        """
        with self._named("delete", key):
            self._fs.rm_file(self._path(key))

    @contextmanager
    def upload(self, path: Path, key: str) -> Iterator["Upload"]:
        """Send a file's content, so that nobody sees it until it is committed.

        What is not committed when the block ends is thrown away.

        Raises:
            BucketError: It cannot be written.
        """
        with self._named("write", key):
            file = self._fs.open(self._path(key), "xb", autocommit=False, block_size=_CHUNK_BYTES)
            with path.open("rb") as source:
                shutil.copyfileobj(source, file, _CHUNK_BYTES)
            file.close()
        upload = Upload(self, key, file)
        try:
            yield upload
        finally:
            if not upload.committed:
                with self._named("write", key):
                    _discard(file)

    def clear_abandoned(self) -> int:
        """Throw away uploads that were begun a day ago and never committed; how many there were.

        Only S3 keeps such; other stores forget them.

        Raises:
            BucketError: They cannot be listed or thrown away.
        """
        if not self._is_s3:
            return 0
        bucket, _, prefix = self._root.partition("/")
        with self._named("clean up"):
            found = self._fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix}/")
            old = [
                upload
                for upload in found.get("Uploads") or []
                if datetime.now(UTC) - upload["Initiated"] > _ABANDONED_AFTER
            ]
            for upload in old:
                which = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                self._fs.call_s3("abort_multipart_upload", Bucket=bucket, **which)
        return len(old)

    @property
    def _is_s3(self) -> bool:
        return "s3" in self._fs.protocol

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    @contextmanager
    def _named(self, doing: str, key: str = "") -> Iterator[None]:
        """Say of each failure what was done with which object.

        Stores raise errors of their SDKs, which share no base class below Exception.
        """
        try:
            yield
        except (BucketError, FileExistsError):
            raise
        except Exception as err:
            where = f"{self.bucket}/{key}" if key else self.bucket.url
            raise BucketError(doing, where, _reason(err)) from err


class Upload:
    """A file's content on its way: all sent, but nobody sees it yet.

    Attributes:
        committed: Whether it is seen.
    """

    def __init__(self, store: Store, key: str, file: Any) -> None:
        self.committed = False
        self._store, self._key, self._file = store, key, file

    def commit(self) -> None:
        """Let the object appear, whole.

        Raises:
            FileExistsError: Another was there first.
            BucketError: The store does not take it.
        """
        with self._store._named("write", self._key):
            try:
                self._file.commit()
            except OSError as err:
                if err.errno != errno.ENOSYS:
                    raise
                # A store without conditional writes: look, then write.
                if self._key in self._store.list():
                    raise FileExistsError(self._key) from err
                self._file.mode = "wb"
                self._file.commit()
        self.committed = True


def _discard(file: Any) -> None:
    """Throw an upload away; one that the store has thrown away already is none."""
    try:
        file.discard()
    except Exception as err:  # as above
        if getattr(err.__cause__, "response", {}).get("Error", {}).get("Code") != "NoSuchUpload":
            raise


def _open_filesystem(bucket: Bucket, *, hasty: bool) -> Any:
    scheme = urlsplit(bucket.url).scheme
    tries = {"retries": {"total_max_attempts": _HASTY_TRIES}} if hasty else {}
    options = {"config_kwargs": _OPTIONS | tries} if scheme == "s3" else {}
    try:
        import fsspec  # noqa: PLC0415  # only a repository in a bucket needs it

        # Each listing is to be a new one. Clients are shared, because to make one takes long.
        made = fsspec.filesystem(scheme, use_listings_cache=False, **options)
    except ImportError as err:
        package = PACKAGES[scheme]
        hint = "'aperture-vision[s3]'" if scheme == "s3" else package
        reason = f"needs {package}, which is not installed: pip install {hint}"
        raise BucketError("open", bucket.url, reason) from err
    if hasty:
        made.retries = _HASTY_TRIES  # s3fs takes it from there alone
    return made


def _tag(info: dict[str, Any]) -> str:
    """The store's mark of an object's content, by the names that stores give it."""
    names = ("ETag", "etag", "generation", "md5Hash", "LastModified", "mtime", "created")
    return next((str(info[name]) for name in names if info.get(name)), "")


def _reason(err: Exception) -> str:
    text = " ".join(str(err).split()) or type(err).__name__
    if type(err).__name__ == "NoCredentialsError":
        return f"{text}; expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role"
    return text
