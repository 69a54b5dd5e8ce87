from __future__ import annotations

import threading

import numpy as np
import pytest

from space_app.core.cache import Cache, Known
from space_app.core.types import Side

ENTRY = 4 * 4 + 400


def known(number: float, *, tokens: int = 3, truncated: bool = False) -> Known:
    """Something to remember."""
    return Known(np.full(4, number, dtype=np.float32).tobytes(), tokens, truncated)


def filled(*texts: str, entries: int = 10) -> Cache:
    """A cache with room for so many, and these in it, numbered."""
    cache = Cache("feedc0de", max_bytes=entries * ENTRY)
    cache.keep((cache.key(text), known(number)) for number, text in enumerate(texts))
    return cache


def found(cache: Cache, *texts: str) -> list[float | None]:
    """The numbers of the texts that are there."""
    answers = cache.find([cache.key(text) for text in texts])
    return [None if answer is None else float(answer.row[0]) for answer in answers]


def test_what_was_kept_is_found() -> None:
    """Vector, tokens and whether it was cut come back, for that text alone."""
    cache = filled()
    cache.keep([(cache.key("a"), known(0.5, tokens=7, truncated=True))])
    (answer,) = cache.find([cache.key("a")])

    assert answer is not None
    np.testing.assert_array_equal(answer.row, np.full(4, 0.5, dtype=np.float32))
    assert (answer.tokens, answer.truncated) == (7, True)
    assert found(cache, "a ", "A", "") == [None, None, None]


def test_another_models_vectors_are_not_found() -> None:
    """A text has another key under another fingerprint."""
    assert Cache("one", max_bytes=1).key("a") != Cache("two", max_bytes=1).key("a")


def test_a_text_cut_elsewhere_is_not_found() -> None:
    """The same text has another vector where its end is kept instead of its beginning."""
    cache = filled("a")

    assert cache.find([cache.key("a", Side.LEFT)]) == [None]
    assert cache.find([cache.key("a", Side.RIGHT)]) != [None]


def test_the_ones_used_last_stay() -> None:
    """When there is no room, who was not used for longest goes."""
    cache = filled("a", "b", "c", entries=3)
    assert found(cache, "a") == [0]
    cache.keep([(cache.key("d"), known(9))])

    assert found(cache, "a", "b", "c", "d") == [0, None, 2, 9]


def test_the_bytes_are_bounded_and_counted() -> None:
    """It never holds more than it may, also when a text is kept again."""
    cache = filled(*(f"{n}" for n in range(100)), "99", "99")

    assert cache.state.entries == 10
    assert cache.state.bytes == cache.state.max_bytes == 10 * ENTRY


def test_hits_and_misses_are_counted() -> None:
    """Each text that is asked for is one or the other."""
    cache = filled("a", "b")
    found(cache, "a", "x", "b", "a")

    assert (cache.state.hits, cache.state.misses) == (3, 1)


def test_it_is_off_without_room() -> None:
    """With no bytes to hold it is false, and keeps nothing."""
    cache = filled("a", entries=0)

    assert not cache
    assert found(cache, "a") == [None]


@pytest.mark.parametrize("text", ["\ud800", "\0", "🙂", "שלום"], ids=ascii)
def test_any_text_has_a_key(text: str) -> None:
    """Also half a surrogate pair, which is no UTF-8."""
    assert found(filled(text), text) == [0]


def test_threads_share_it() -> None:
    """Keeping and finding from several threads leaves the count of bytes right."""
    cache = filled(entries=20)

    def use(start: int) -> None:
        for number in range(start, start + 300):
            cache.keep([(cache.key(f"{number % 50}"), known(number))])
            found(cache, f"{number % 37}")

    threads = [threading.Thread(target=use, args=(n * 7,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert cache.state.bytes == cache.state.entries * ENTRY
    assert cache.state.hits + cache.state.misses == 1200
