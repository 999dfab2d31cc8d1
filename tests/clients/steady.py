"""Clients that ask without a pause, over each protocol, until their stdin is closed.

    python -m tests.clients.steady URL GRPC_ADDRESS MODEL FILE...

Prints as JSON, for each protocol, every different answer with how often it came, the last one,
and every error with how often it came. An answer is the scores of all files, in label order.
"""

import base64
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from tests.tiny_models import LABELS

Ask = Callable[[], list[list[float]]]


class Asked:
    """What came of the questions of one client."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.answers: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.last = ""

    def run(self, closed: threading.Event) -> None:
        while not closed.is_set():
            try:
                answer = self._ask()
            except (httpx.HTTPError, InferenceServerException) as err:
                self.errors[str(err)] += 1
                continue
            self.last = json.dumps(np.round(answer, 4).tolist())
            self.answers[self.last] += 1


def v1(url: str, model: str, pictures: list[bytes]) -> Ask:
    client = httpx.Client(base_url=url, timeout=60)
    texts = [base64.b64encode(picture).decode() for picture in pictures]
    body = {"instances": [{"data": text} for text in texts]}

    def ask() -> list[list[float]]:
        response = client.post(f"/v1/models/{model}:predict", json=body)
        if response.status_code != 200:
            raise httpx.HTTPError(f"[{response.status_code}] {response.json()['error']}")
        by_label = [
            {entry["label"]: entry["score"] for entry in answer}
            for answer in response.json()["predictions"]
        ]
        return [[scores[label] for label in LABELS] for scores in by_label]

    return ask


def v2(module: object, address: str, model: str, pictures: list[bytes]) -> Ask:
    client = module.InferenceServerClient(address)  # type: ignore[attr-defined]
    tensor = module.InferInput("image", [len(pictures)], "BYTES")  # type: ignore[attr-defined]
    tensor.set_data_from_numpy(np.array(pictures, dtype=np.object_))

    def ask() -> list[list[float]]:
        scores: list[list[float]] = client.infer(model, [tensor]).as_numpy("scores").tolist()
        return scores

    return ask


def main() -> None:
    url, grpc_address, model, *files = sys.argv[1:]
    pictures = [Path(file).read_bytes() for file in files]
    http_address = url.removeprefix("http://")
    asked: Mapping[str, Asked] = {
        "v1": Asked(v1(url, model, pictures)),
        "rest": Asked(v2(tritonclient.http, http_address, model, pictures)),
        "grpc": Asked(v2(tritonclient.grpc, grpc_address, model, pictures)),
    }
    closed = threading.Event()
    threads = [threading.Thread(target=one.run, args=(closed,)) for one in asked.values()]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    closed.set()
    for thread in threads:
        thread.join()
    print(
        json.dumps(
            {
                name: {"answers": one.answers, "errors": one.errors, "last": one.last}
                for name, one in asked.items()
            }
        )
    )


if __name__ == "__main__":
    main()
