"""The manifests of k8s/ as `kubectl kustomize` renders them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

Manifest = dict[str, Any]

_ROOT: Final = Path(__file__).parents[2]
K8S: Final = _ROOT / "k8s"
# `make kubectl` and `make grpcurl` put theirs here.
TOOLS: Final = os.pathsep.join([str(_ROOT / ".tools"), os.environ.get("PATH", "")])
KUBECTL: Final = shutil.which("kubectl", path=TOOLS)
# What README and docs/deploy.md offer, each with one `kubectl apply -k`.
KUSTOMIZATIONS: Final = (
    "base",
    "base/cluster-runtime",
    *(f"overlays/{folder.name}" for folder in sorted((K8S / "overlays").iterdir())),
)

kubectl = pytest.mark.skipif(
    KUBECTL is None, reason="there is no kubectl to render k8s/; `make kubectl` gets one"
)
every_kustomization = pytest.mark.parametrize("kustomization", KUSTOMIZATIONS)


def kustomize(folder: Path) -> list[Manifest]:
    """What a kustomization renders to; its warnings, such as of deprecated fields, are errors."""
    process = subprocess.run(
        [str(KUBECTL), "kustomize", str(folder)], capture_output=True, text=True, check=False
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
