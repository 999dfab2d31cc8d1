"""What Prometheus reads of a server's metrics."""

from prometheus_client.parser import text_string_to_metric_families


def scrape(text: str) -> dict[str, float]:
    """Samples by name and their labels' values; Prometheus' parser adds _total to counters."""
    return {
        " ".join(
            [
                sample.name.removesuffix("_total"),
                *(text for _, text in sorted(sample.labels.items())),
            ]
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
