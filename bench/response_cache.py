"""A picture that the response cache knows beside the same one without a cache, on one server.

    python -m bench.response_cache [--rounds 3] [--seconds 4] [--connections 4]

Two models share the ONNX file, random weights of ResNet-50 at 224; one of them asks for the cache.
They take turns, a round each; the figures are the medians of the rounds.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path

from bench.load import measure
from bench.serve import CASES, publish_random
from tests.live_server import live_server
from tests.picture_files import instances

_CACHE_BYTES = 2**28


def main() -> None:
    """Measure both and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()
    case = CASES[0]
    body = json.dumps(instances(case.picture)).encode()
    with tempfile.TemporaryDirectory() as folder:
        repository = publish_models(Path(folder))
        flags = ["--model_repository", str(repository), "--precision", "fp32"]
        flags += ["--cache_config", f"local,size={_CACHE_BYTES}"]
        rates: dict[str, list[float]] = {"model": [], "cached": []}
        with live_server(Path(folder) / "log", *flags) as server:
            for _ in range(options.rounds):
                for name, seen in rates.items():
                    load = (server.http_port, f"/v1/models/{name}:predict", body)
                    measure(*load, options.connections, seconds=1.0)
                    seen.append(measure(*load, options.connections, options.seconds).requests_per_s)
    run, hit = (statistics.median(seen) for seen in rates.values())
    print(f"{case.title}: {run:.0f} pictures/s run, {hit:.0f} from the cache ({hit / run:.1f} x)")


def publish_models(folder: Path) -> Path:
    """A repository of `model`, and of `cached`, which is the same and asks for the cache."""
    repository = folder / "repository"
    publish_random(CASES[0], repository)
    shutil.copytree(repository / "model", repository / "cached")
    config = repository / "cached" / "config.pbtxt"
    text = config.read_text().replace('name: "model"', 'name: "cached"')
    config.write_text(text + "response_cache { enable: true }\n")
    return repository


if __name__ == "__main__":
    main()
