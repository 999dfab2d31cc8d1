"""boto3's client `sagemaker-runtime`, in a process of its own environment.

    .venv-sagemaker/bin/python tests/sagemaker/runtime_client.py URL

Each line of its input is a call: {"operation": ..., "parameters": {...}}, a body as base64. Each line
of its output says what came of one.
"""

import base64
import json
import sys
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main() -> None:
    client = boto3.client(
        "sagemaker-runtime",
        region_name="eu-central-1",
        endpoint_url=sys.argv[1],
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",  # noqa: S106  # dummy credentials
        config=Config(retries={"max_attempts": 0}),
    )
    for line in sys.stdin:
        call = json.loads(line)
        print(json.dumps(outcome(client, call["operation"], call["parameters"])), flush=True)


def outcome(client: Any, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The members of the answer, or the class and members of the error that was raised."""
    if "Body" in parameters:
        parameters["Body"] = base64.b64decode(parameters["Body"])
    try:
        answer = getattr(client, operation)(**parameters)
    except ClientError as err:
        modelled = [
            name for name in dir(client.exceptions) if type(err).__name__ == name and name[0] != "_"
        ]
        return {"raised": modelled, "answer": err.response}
    body = base64.b64encode(answer.pop("Body").read()).decode()
    return {"raised": [], "answer": answer, "body": body}


if __name__ == "__main__":
    main()
