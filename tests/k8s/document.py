"""docs/deploy.md: its kustomizations of a user's own, rendered, and the commands of its walk."""

import re
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the document, and what stands behind it.

    Attributes:
        command: Without its prompt; its further lines are indented.
        output: What it prints, or nothing where that is not shown.
    """

    command: str
    output: str


def steps(heading: str) -> list[Step]:
    """The commands below the paragraph that begins with this in bold."""
    _, _, below = TEXT.partition(f"\n**{heading}**")
    block = re.search(r"^```console\n(.*?)^```$", below, re.MULTILINE | re.DOTALL)
    assert block is not None, heading
    found = re.findall(r"^\$ (.*\n(?: .*\n)*)((?:[^$].*\n)*)", block[1], re.MULTILINE)
    assert "".join(f"$ {command}{output}" for command, output in found) == block[1]
    return [Step(command.rstrip("\n"), output) for command, output in found]
