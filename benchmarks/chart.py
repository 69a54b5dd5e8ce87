"""The chart that the README shows: bars of medians, one panel a metric, as SVG."""

from __future__ import annotations

import statistics
from html import escape
from typing import TYPE_CHECKING

from readings import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from readings import Readings

_PANELS = (
    (Metric.TOKENS, "Tokens a second, 16 clients, mixed lengths (more is better)"),
    (Metric.QUERY_P50_MS, "Milliseconds for a short query, one client (less is better)"),
    (Metric.RSS_MB, "Megabytes of resident memory after the load (less is better)"),
)
_WIDTH, _LABELS, _BAR, _GAP, _TITLE = 720, 150, 22, 8, 34
_ROOM_FOR_NUMBER = 70
_OURS, _PEER = "#0b7a75", "#b8c0cc"


def write(path: Path, readings: Readings, titles: Mapping[str, str]) -> None:
    """Draw what was measured of the servers."""
    parts: list[str] = []
    top = 0
    for metric, title in _PANELS:
        values = {
            name: statistics.median(found)
            for name in titles
            if (found := readings.of(name, metric))
        }
        if values:
            parts += _panel(top, title, values, titles)
            top += _TITLE + len(values) * (_BAR + _GAP) + _GAP
    body = "\n".join(parts)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top or 1}" '
        f'font-family="sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n',
        encoding="utf-8",
    )


def _panel(
    top: int, title: str, values: Mapping[str, float], titles: Mapping[str, str]
) -> list[str]:
    longest = max(values.values())
    room = _WIDTH - _LABELS - _ROOM_FOR_NUMBER
    parts = [f'<text x="8" y="{top + 22}" font-weight="bold">{escape(title)}</text>']
    for row, (name, value) in enumerate(values.items()):
        y = top + _TITLE + row * (_BAR + _GAP)
        width = max(1.0, room * value / longest)
        colour = _OURS if name == "ours" else _PEER
        middle = y + _BAR * 0.7
        label = escape(titles[name])
        parts += [
            f'<text x="{_LABELS - 8}" y="{middle:.0f}" text-anchor="end">{label}</text>',
            f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>',
            f'<text x="{_LABELS + width + 6:.1f}" y="{middle:.0f}">{_number(value)}</text>',
        ]
    return parts


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"  # noqa: PLR2004 -- digits shown
