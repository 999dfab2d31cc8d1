"""docs/deploy.md names what is there, and shows what kubectl would print."""

import re

from tests.k8s.rendered import K8S, Manifest, kubectl, rendered

TEXT = (K8S.parent / "docs" / "deploy.md").read_text(encoding="utf-8")


def test_every_overlay_is_in_the_table_and_nothing_else() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", TEXT, re.MULTILINE)
    assert sorted(rows) == sorted(folder.name for folder in (K8S / "overlays").iterdir())


def test_every_folder_that_is_named_is_there() -> None:
    named = set(re.findall(r"(?:k8s/)?((?:base|overlays|components)/[a-z-]+[a-z])", TEXT))
    assert named
    assert all((K8S / path).is_dir() for path in named if not path.endswith("autoscale"))


@kubectl
def test_the_first_apply_creates_what_the_document_says() -> None:
    said = re.findall(r"^([a-z.0-9]+/[a-z-]+) created$", TEXT, re.MULTILINE)
    assert said == ["namespace/vision", *map(_printed, rendered("overlays/one-node"))]


@kubectl
def test_the_ports_are_those_of_the_runtime() -> None:
    (runtime,) = (one for one in rendered("base") if one["kind"] == "ServingRuntime")
    (container,) = runtime["spec"]["containers"]
    first, second = (port["containerPort"] for port in container["ports"])
    assert f"service/shapes-predictor {first}:80 {second}:{second}" in TEXT


def _printed(manifest: Manifest) -> str:
    """How kubectl names an object: its kind and group, and its name."""
    group = manifest["apiVersion"].rpartition("/")[0]
    kind = ".".join(part for part in (manifest["kind"].lower(), group) if part)
    return f"{kind}/{manifest['metadata']['name']}"
