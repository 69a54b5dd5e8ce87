"""What was measured: for each server and metric the values, one a round."""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum


class Metric(StrEnum):
    """What a value is; the unit is in its name."""

    START_S = "start to first vector, s"
    QUERY_P50_MS = "short query p50, ms"
    QUERY_P95_MS = "short query p95, ms"
    REQUESTS = "16 clients, requests/s"
    TOKENS = "16 clients, tokens/s"
    MIXED_P95_S = "16 clients, p95, s"
    CLIENT_CPU = "load process, part of a core"
    RSS_MB = "resident after load, MB"
    PSS_MB = "of that its own (Pss), MB"
    BARE_TOKENS = "bare graph, tokens/s"
    COLD_P99_MS = "random lengths, first pass, p99, ms"
    WARM_P99_MS = "random lengths, again, p99, ms"
    BULK_ALONE = "bulk alone, tokens/s"
    BULK_SHARED = "bulk beside queries, tokens/s"
    BULK_REFUSED = "bulk requests refused by 429"
    BESIDE_P50_MS = "query beside bulk p50, ms"
    BESIDE_P95_MS = "query beside bulk p95, ms"
    HEALTH_P99_MS = "/health beside bulk p99, ms"
    OVERHEAD_MS = "one short text, request less compute, p50, ms"
    OVERHEAD_PART = "64 texts of 60 words, the same, part of compute"
    OBSERVED_TOKENS = "16 clients, tokens/s, beside the next"
    UNOBSERVED_TOKENS = "the same without metrics and log"
    CONTAINER_S = "container start to first vector, s"
    IMAGE_MB = "image above its base, MB"
    SPEARMAN_OURS = "Spearman of the artefact, x100"
    SPEARMAN_REFERENCE = "Spearman of the model, x100"
    PAIRS_COSINE_MEAN = "cosine to fp32 on the pairs, mean"
    PAIRS_COSINE_MIN = "cosine to fp32 on the pairs, minimum"
    COSINE_MEAN = "cosine to fp32 on the verification texts, mean"
    COSINE_MIN = "cosine to fp32 on the verification texts, minimum"


class Readings:
    """Values by server and metric, in the order of the rounds."""

    def __init__(self) -> None:
        self._values: defaultdict[tuple[str, Metric], list[float]] = defaultdict(list)

    def add(self, server: str, metric: Metric, value: float) -> None:
        """Note one round's value."""
        self._values[server, metric].append(value)

    def of(self, server: str, metric: Metric) -> list[float]:
        """The rounds' values; empty when it was not measured."""
        return list(self._values.get((server, metric), ()))

    def ratio(self, above: tuple[str, Metric], below: tuple[str, Metric]) -> list[float]:
        """Round by round, since what else the machine does changes between rounds."""
        return [
            one / other
            for one, other in zip(self.of(*above), self.of(*below), strict=False)
            if other
        ]

    def metrics(self) -> list[Metric]:
        """Those that have values, in the order of their definition."""
        found = {metric for _, metric in self._values}
        return [metric for metric in Metric if metric in found]

    def as_records(self) -> list[dict[str, object]]:
        """For JSON."""
        return [
            {
                "server": server,
                "metric": metric.name.lower(),
                "unit": metric.value,
                "values": values,
            }
            for (server, metric), values in self._values.items()
        ]
