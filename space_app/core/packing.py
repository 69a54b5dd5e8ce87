"""Chooses the texts of one step: as many tokens as fit for what the step costs anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Packed(NamedTuple):
    """Indices of the chosen candidates, besides the anchor, and the length they are brought to."""

    chosen: tuple[int, ...]
    length: int


def pack(
    anchor: int, candidates: Sequence[int], *, most: int, seconds: Mapping[int, float]
) -> Packed:
    """Fill a step around a text of `anchor` tokens with `candidates`, those in front preferred.

    Args:
        anchor: tokens of the text that must be in it.
        candidates: tokens of the others that wait.
        most: texts in one step, the anchor included.
        seconds: what each permitted length costs; the anchor fits in each.
    """
    largest = max(seconds)
    mask = (1 << (largest + 1)) - 1
    # Bit n is set when n tokens can be reached with the candidates so far.
    reached = [1 << anchor]
    for tokens in candidates:
        reached.append((reached[-1] | reached[-1] << tokens) & mask)
    total = _highest(
        reached[-1],
        max(seconds, key=lambda n: (_highest(reached[-1], n) / seconds[n], n)),
    )
    chosen = _traced(reached, candidates, total)
    if len(chosen) >= most:
        chosen = _first(anchor, candidates, most=most, at_most=largest)
        total = anchor + sum(candidates[index] for index in chosen)
    fitting = [length for length in seconds if length >= total]
    return Packed(chosen, min(fitting, key=seconds.__getitem__))


def _highest(reached: int, at_most: int) -> int:
    return (reached & ((1 << (at_most + 1)) - 1)).bit_length() - 1


def _traced(reached: Sequence[int], candidates: Sequence[int], total: int) -> tuple[int, ...]:
    """Which candidates make the total; one at the back only where those in front do not."""
    chosen = []
    for index in reversed(range(len(candidates))):
        if not reached[index] >> total & 1:
            chosen.append(index)
            total -= candidates[index]
    return tuple(reversed(chosen))


def _first(anchor: int, candidates: Sequence[int], *, most: int, at_most: int) -> tuple[int, ...]:
    """As many as may be, one after the other."""
    room, chosen = at_most - anchor, list[int]()
    for index, tokens in enumerate(candidates):
        if len(chosen) + 1 == most:
            break
        if tokens <= room:
            room -= tokens
            chosen.append(index)
    return tuple(chosen)
