"""A publisher into a bucket that kill -9 ends at a certain moment."""

import os
import signal
import subprocess
import sys
import tempfile

from contract.locations import Bucket

DIES = """
import os, signal, sys
from contract.bucket import Store, Upload
from contract.locations import Bucket
from trainer.publishing import publish
from tests.tiny_models import LABELS, colour_config, write_colour_model

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

url, before = sys.argv[1:]
if before == "commit":
    Upload.commit = die
else:
    write = Store.write
    Store.write = lambda self, key, content: die() if key == before else write(self, key, content)
publish(Bucket(url), colour_config("m"), LABELS, write_colour_model)
"""


def publish_and_die(bucket: Bucket, before: str) -> None:
    """Publish in a process of its own, which kill -9 ends before it writes that key."""
    command = [sys.executable, "-c", DIES, bucket.url, before]
    with tempfile.TemporaryDirectory() as left:  # what it can no longer clean up
        done = subprocess.run(command, env={**os.environ, "TMPDIR": left}, check=False)
    assert done.returncode == -signal.SIGKILL
