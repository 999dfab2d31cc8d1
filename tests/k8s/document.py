"""docs/deploy.md's kustomizations of a user's own, rendered."""

import re
from pathlib import Path

from tests.k8s.rendered import K8S, Manifest, kustomize

TEXT = (K8S.parent / "docs" / "deploy.md").read_text(encoding="utf-8")


def yaml_block(part: str) -> str:
    """The one block of YAML that has this in it."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if part in block)
    return str(block)


def next_version(folder: Path, kustomization: str, part: str) -> tuple[Manifest, ...]:
    """A kustomization under the document's patch that has this in it."""
    return users_own(folder, f"resources: [../k8s/{kustomization}]\n{yaml_block(part)}")


def users_own(folder: Path, text: str) -> tuple[Manifest, ...]:
    """What a kustomization of a user's, in a folder beside k8s/, renders to."""
    (folder / "k8s").symlink_to(K8S)
    (folder / "mine").mkdir()
    (folder / "mine" / "kustomization.yaml").write_text(text, encoding="utf-8")
    return tuple(kustomize(folder / "mine"))
