"""Chooses the texts of one step: as many tokens as fit for what the step costs anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from space_app.core.types import Shape


class Packed(NamedTuple):
    """Which texts are in which row, by their indices, and the shape that holds them."""

    rows: tuple[tuple[int, ...], ...]
    shape: Shape


def pack(
    tokens: Sequence[int], *, anchors: int, most: int, seconds: Mapping[Shape, float]
) -> Packed:
    """Fill a step around the texts that must be in it; of the others those in front are preferred.

    Args:
        tokens: of each text that waits.
        anchors: so many texts at the beginning must be in the step; one of the shapes of a single
            row holds them all.
        most: texts in one step.
        seconds: what each permitted shape costs, by their tokens ascending.
    """

    def worth(rows: Sequence[Sequence[int]]) -> tuple[float, int]:
        used = sum(tokens[index] for row in rows for index in row)
        return used / seconds[_holding(rows, tokens, seconds)], used

    best = max(_layouts(tokens, anchors, most, seconds), key=worth)
    return Packed(tuple(map(tuple, best)), _holding(best, tokens, seconds))


def _holding(
    rows: Sequence[Sequence[int]], tokens: Sequence[int], shapes: Mapping[Shape, float]
) -> Shape:
    """The first shape that holds these rows: it is what the embedder takes."""
    totals = [sum(tokens[index] for index in row) for row in rows]
    return next(shape for shape in shapes if shape.holds(totals))


def _layouts(
    tokens: Sequence[int], anchors: int, most: int, seconds: Mapping[Shape, float]
) -> Iterator[list[list[int]]]:
    """The fullest steps: of all shapes that have one row, and of each that has several."""
    single = {shape.width: cost for shape, cost in seconds.items() if shape.rows == 1}
    yield _filled([list(range(anchors))], tokens, anchors, most, single)
    for shape in seconds:
        if shape.rows > 1 and (placed := _placed(tokens[:anchors], shape)) is not None:
            yield _filled(placed, tokens, anchors, most, {shape.width: 1.0})


def _placed(anchors: Sequence[int], shape: Shape) -> list[list[int]] | None:
    """The anchors in rows, the longest first into the first row that has room; None: too many."""
    rows: list[list[int]] = [[] for _ in range(shape.rows)]
    room = [shape.width] * shape.rows
    for index in sorted(range(len(anchors)), key=anchors.__getitem__, reverse=True):
        row = next((n for n, left in enumerate(room) if left >= anchors[index]), None)
        if row is None:
            return None
        rows[row].append(index)
        room[row] -= anchors[index]
    return rows


def _filled(
    rows: list[list[int]],
    tokens: Sequence[int],
    anchors: int,
    most: int,
    seconds: Mapping[int, float],
) -> list[list[int]]:
    """Fill one row after the other, each to one of these widths: the one with the most for it."""
    free = list(range(anchors, len(tokens)))
    left = most - anchors
    for row in rows:
        start = sum(tokens[index] for index in row)
        widths = {width: cost for width, cost in seconds.items() if width >= start}
        for index in _chosen(start, free, tokens, most=left, seconds=widths):
            row.append(index)
            free.remove(index)
            left -= 1
    return [row for row in rows if row]


def _chosen(
    start: int,
    free: Sequence[int],
    tokens: Sequence[int],
    *,
    most: int,
    seconds: Mapping[int, float],
) -> list[int]:
    """Which of the free texts go behind the `start` tokens of a row."""
    mask = (1 << (max(seconds) + 1)) - 1
    # Bit n is set when n tokens can be reached with the texts so far.
    reached = [1 << start]
    for index in free:
        reached.append((reached[-1] | reached[-1] << tokens[index]) & mask)
    total = _highest(
        reached[-1], max(seconds, key=lambda n: (_highest(reached[-1], n) / seconds[n], n))
    )
    chosen = _traced(reached, [tokens[index] for index in free], total)
    if len(chosen) > most:
        return _first(free, tokens, most=most, room=max(seconds) - start)
    return [free[position] for position in chosen]


def _highest(reached: int, at_most: int) -> int:
    return (reached & ((1 << (at_most + 1)) - 1)).bit_length() - 1


def _traced(reached: Sequence[int], sizes: Sequence[int], total: int) -> list[int]:
    """Which of them make the total; one at the back only where those in front do not."""
    chosen = []
    for position in reversed(range(len(sizes))):
        if not reached[position] >> total & 1:
            chosen.append(position)
            total -= sizes[position]
    return chosen[::-1]


def _first(free: Sequence[int], tokens: Sequence[int], *, most: int, room: int) -> list[int]:
    """As many as may be, one after the other."""
    chosen: list[int] = []
    for index in free:
        if len(chosen) == most:
            break
        if tokens[index] <= room:
            room -= tokens[index]
            chosen.append(index)
    return chosen
