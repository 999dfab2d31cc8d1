"""What a test asks boto3's client, which runs in .venv-sagemaker."""

import base64
import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ENVIRONMENT: Final = Path(__file__).parents[2] / ".venv-sagemaker"
PYTHON: Final = ENVIRONMENT / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call.

    Attributes:
        raised: The client's class of the error that was raised; empty for none.
        answer: The members of the answer, or of the error.
        body: The answer's body.
    """

    raised: str
    answer: dict[str, Any]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        found: dict[str, str] = self.answer["ResponseMetadata"]["HTTPHeaders"]
        return found

    @property
    def message(self) -> str:
        found: str = self.answer["Error"]["Message"]
        return found


class Runtime:
    """The client, given `endpoint_url` and dummy credentials alone."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def invoke(self, body: bytes, endpoint: str = "vision", **parameters: str) -> Outcome:
        """InvokeEndpoint."""
        return self.call("invoke_endpoint", EndpointName=endpoint, Body=body, **parameters)

    def call(self, operation: str, **parameters: str | bytes) -> Outcome:
        """Any operation."""
        written = {
            name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for name, value in parameters.items()
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        call = {"operation": operation, "parameters": written}
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the client ended"
        told = json.loads(line)
        body = base64.b64decode(told.get("body", ""))
        return Outcome("".join(told["raised"]), told["answer"], body)


@contextlib.contextmanager
def runtime(url: str) -> Iterator[Runtime]:
    """A client of that server, which asks once."""
    command = [str(PYTHON), str(Path(__file__).parent / "runtime_client.py"), url]
    environ = {**os.environ, "AWS_EC2_METADATA_DISABLED": "true"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    )
    try:
        yield Runtime(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def read_record(body: bytes) -> NDArray[np.float32]:
    """The tensor of a record, read with SageMaker's own description of one."""
    command = [str(PYTHON), str(Path(__file__).parent / "record_reader.py")]
    done = subprocess.run(command, input=body, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["features"] == ["shape", "target"]
    values = np.frombuffer(base64.b64decode(told["values"]), "<f4")
    return values.reshape(told["shape"])
