"""Several questions to the Hub at the same time, from threads that Ctrl-C does not wait for.

Those of a ThreadPoolExecutor are waited for, even when the program ends.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_AT_ONCE = 8


class Readers:
    """So many that ask at the same time; the others wait for their turn."""

    def __init__(self) -> None:
        self._turns = threading.Semaphore(_AT_ONCE)

    def submit(self, ask: Callable[P, T], *args: P.args, **options: P.kwargs) -> Future[T]:
        """Ask; the answer, or what was raised, is the future's."""
        answer: Future[T] = Future()

        def run() -> None:
            with self._turns:
                try:
                    answer.set_result(ask(*args, **options))
                except BaseException as error:  # noqa: BLE001 -- raised where it is waited for
                    answer.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return answer
