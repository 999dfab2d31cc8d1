"""The tables of docs/sagemaker.md that the code's own models say: make tables."""

from pathlib import Path
from typing import Final

from contract.options import OptionRow, describe
from tests.markers import between_markers
from trainer.sagemaker.algorithms import ALGORITHMS
from trainer.sagemaker.detection_models import DETECTION_MODELS

GUIDE: Final = Path(__file__).parent.parent / "docs" / "sagemaker.md"
TITLES: Final = {
    "image-classification": "Image Classification - MXNet",
    "semantic-segmentation": "Semantic Segmentation",
    "object-detection": "Object Detection - TensorFlow",
}


def main() -> None:
    """Rewrite the tables in place."""
    GUIDE.write_text(updated(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")


def updated(text: str) -> str:
    """The guide's text with present tables."""
    text = between_markers(text, "hyperparameters", hyperparameters())
    return between_markers(text, "detectors", detectors())


def hyperparameters() -> str:
    """A table for each algorithm."""
    parts = []
    for name, algorithm in ALGORITHMS.items():
        fields = algorithm.model_fields
        lines = [_line(row, required=fields[row.name].is_required()) for row in describe(algorithm)]
        head = [
            "| hyperparameter | default | values | what it is here |",
            "| --- | --- | --- | --- |",
        ]
        parts.append("\n".join([f"### {TITLES[name]}", "", *head, *lines, ""]))
    return "\n".join(parts)


def detectors() -> str:
    """The detector of each model id."""
    lines = ["| model_id | detector | input | why |", "| --- | --- | --- | --- |"]
    for model_id, model in DETECTION_MODELS.items():
        side = f"{model.side} x {model.side}"
        lines.append(f"| `{model_id}` | {model.detector} | {side} | {model.reason} |")
    return "\n".join(lines) + "\n"


def _line(row: OptionRow, *, required: bool) -> str:
    default = "required" if required else row.default or "-"
    values = {"bool": "True, False", "list": "epochs"}.get(row.type, row.expected)
    if row.type == "bool":
        default = default.capitalize()
    cells = [f"`{row.name}`", default, values.replace("|", ", "), row.description]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
