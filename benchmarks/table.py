"""The table: what must be reached, what was, and whether that is enough."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from readings import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from readings import Readings


@dataclass(frozen=True)
class Line:
    """One promise; `values` are the rounds', and their median decides."""

    what: str
    limit: float
    values: tuple[float, ...]
    at_most: bool = False
    unit: str = ""

    @property
    def value(self) -> float | None:
        """The median, None when it was not measured."""
        return statistics.median(self.values) if self.values else None

    @property
    def met(self) -> bool | None:
        """None when it was not measured."""
        if self.value is None:
            return None
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def lines(readings: Readings) -> list[Line]:
    """Every promise, in the order of the README."""
    return [
        *_speed(readings),
        *_under_load(readings),
        *_layers(readings),
        *_size(readings),
        *_agreement(readings),
    ]


def render(table: Sequence[Line]) -> str:
    """The promises as text."""
    head = ("what", "target", "value", "min-max", "met")
    return _columns([head, *(_row(line) for line in table)])


def render_servers(readings: Readings, titles: Mapping[str, str]) -> str:
    """Medians of everything that was measured, a column for each server."""
    rows: list[tuple[str, ...]] = [("median (min-max)", *titles.values())]
    for metric in readings.metrics():
        cells = (_cell(readings.of(name, metric)) for name in titles)
        rows.append((metric.value, *cells))
    return _columns(rows)


def _speed(readings: Readings) -> list[Line]:
    ours = ("ours", Metric.TOKENS)
    query = readings.ratio(("original", Metric.QUERY_P50_MS), ("ours", Metric.QUERY_P50_MS))
    return [
        Line("short query, idle, p50: original / ours", 5, tuple(query)),
        *(
            Line(
                f"16 clients, mixed lengths, tokens/s: ours / {title}",
                limit,
                tuple(readings.ratio(ours, (name, Metric.TOKENS))),
            )
            for name, title, limit in (
                ("original", "original", 6),
                ("infinity", "infinity (torch)", 7),
                ("onnx", "ONNX Runtime fp32", 3),
            )
        ),
        Line(
            "the same: over HTTP / bare graph's best",
            0.85,
            tuple(readings.ratio(ours, ("ours", Metric.BARE_TOKENS))),
        ),
    ]


def _under_load(readings: Readings) -> list[Line]:
    idle = readings.of("ours", Metric.QUERY_P50_MS)
    beside = readings.of("ours", Metric.BESIDE_P95_MS)
    times = tuple(value / statistics.median(idle) for value in beside) if idle else ()
    cold = readings.ratio(("ours", Metric.COLD_P99_MS), ("ours", Metric.WARM_P99_MS))
    kept = readings.ratio(("ours", Metric.BULK_SHARED), ("ours", Metric.BULK_ALONE))
    health = readings.of("ours", Metric.HEALTH_P99_MS)
    return [
        Line("random lengths 1-512, p99: first pass / warm", 1.2, tuple(cold), at_most=True),
        Line("short query p95 beside bulk / idle p50", 8, times, at_most=True),
        Line("bulk beside queries: part kept of its rate alone", 0.85, tuple(kept)),
        Line("/health p99 beside bulk", 20, tuple(health), at_most=True, unit=" ms"),
    ]


def _layers(readings: Readings) -> list[Line]:
    single = tuple(readings.of("ours", Metric.OVERHEAD_MS))
    many = tuple(readings.of("ours", Metric.OVERHEAD_PART))
    observed = ("ours", Metric.OBSERVED_TOKENS)
    kept = tuple(readings.ratio(observed, ("ours", Metric.UNOBSERVED_TOKENS)))
    return [
        Line("HTTP layer, one short text: above compute", 1.5, single, at_most=True, unit=" ms"),
        Line("HTTP layer, 64 texts of 60 words: above compute", 0.12, many, at_most=True),
        Line("tokens/s with metrics and log / without", 0.97, kept),
    ]


def _size(readings: Readings) -> list[Line]:
    contained = readings.of("ours", Metric.CONTAINER_S)
    started = Metric.CONTAINER_S if contained else Metric.START_S
    what = "container" if contained else "process"
    start = readings.ratio(("original", started), ("ours", started))
    seconds = readings.of("ours", started)
    image = readings.ratio(("ours", Metric.IMAGE_MB), ("original", Metric.IMAGE_MB))
    ours, theirs = readings.of("ours", Metric.RSS_MB), readings.of("original", Metric.RSS_MB)
    # The largest that ours was after any load, against the original after the mixed one.
    memory = (max(ours) / statistics.median(theirs),) if ours and theirs else ()
    return [
        Line(f"{what} start to first vector: original / ours", 5, tuple(start)),
        Line(f"{what} start to first vector: ours", 2.5, tuple(seconds), at_most=True, unit=" s"),
        Line("resident memory after load: ours / original", 0.6, memory, at_most=True),
        Line("image above its base: ours / original", 0.45, tuple(image), at_most=True),
    ]


def _agreement(readings: Readings) -> list[Line]:
    pairs = zip(
        readings.of("ours", Metric.SPEARMAN_OURS),
        readings.of("ours", Metric.SPEARMAN_REFERENCE),
        strict=True,
    )
    apart = tuple(abs(ours - reference) for ours, reference in pairs)
    mean = tuple(readings.of("ours", Metric.COSINE_MEAN))
    least = tuple(readings.of("ours", Metric.COSINE_MIN))
    return [
        Line("STS-B dev, Spearman x100: apart from fp32", 0.2, apart, at_most=True),
        Line("verification texts, cosine to fp32: mean", 0.995, mean),
        Line("verification texts, cosine to fp32: minimum", 0.97, least),
    ]


def _row(line: Line) -> tuple[str, ...]:
    limit = f"{'<=' if line.at_most else '>='} {line.limit:g}{line.unit}"
    if line.value is None:
        return line.what, limit, "not measured", "", "-"
    span = f"{min(line.values):.3g}-{max(line.values):.3g}" if len(line.values) > 1 else ""
    value = f"{line.value:.4g}{line.unit}"
    return line.what, limit, value, span, "yes" if line.met else "NO"


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    middle = f"{statistics.median(values):.4g}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.3g}-{max(values):.3g})"


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
