"""Metrics of training batches -> their means since somebody last asked.

The sums stay on the device: a training that is measured does not wait for it at each step.
"""

from collections.abc import Mapping

from torch import Tensor

from trainer.processes import Processes


class RunningMeans:
    """Sums of means over batches, each weighted by the batch's pictures."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._pictures = 0

    def add(self, means: Mapping[str, Tensor], pictures: int) -> None:
        """Take in the means over a batch of pictures, by name."""
        for name, mean in means.items():
            value = mean.detach() * pictures
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._pictures += pictures

    def take(self, processes: Processes) -> dict[str, float]:
        """The means over the pictures of all processes; each of them has to call it."""
        own = {name: float(total) for name, total in self._sums.items()}
        parts = processes.gather([(own, self._pictures)])
        self._sums, self._pictures = {}, 0
        pictures = sum(count for _, count in parts)
        return {name: sum(sums[name] for sums, _ in parts) / pictures for name in own}
