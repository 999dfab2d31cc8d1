"""The manifests of k8s/ as `kubectl kustomize` renders them."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

Manifest = dict[str, Any]

K8S: Final = Path(__file__).parents[2] / "k8s"
# What README and docs/deploy.md offer, each with one `kubectl apply -k`.
KUSTOMIZATIONS: Final = (
    "base",
    "base/cluster-runtime",
    *(f"overlays/{folder.name}" for folder in sorted((K8S / "overlays").iterdir())),
)

kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which renders k8s/, is not installed"
)
every_kustomization = pytest.mark.parametrize("kustomization", KUSTOMIZATIONS)


def kustomize(folder: Path) -> list[Manifest]:
    """What a kustomization renders to; its warnings, such as of deprecated fields, are errors."""
    process = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    return list(yaml.safe_load_all(process.stdout))


@cache
def rendered(kustomization: str) -> tuple[Manifest, ...]:
    """The manifests of a folder of k8s/; not to be changed."""
    return tuple(kustomize(K8S / kustomization))


def of_kind(manifests: tuple[Manifest, ...], *kinds: str) -> Iterator[Manifest]:
    """Those of some kinds."""
    return (manifest for manifest in manifests if manifest["kind"] in kinds)


def name_of(manifest: Manifest) -> str:
    """Kind and name, for messages."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"
