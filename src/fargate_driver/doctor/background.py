"""Doing things side by side, and no longer than somebody waits for them."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def begin(function: Callable[[], T]) -> Future[T]:
    """Call a function in a thread of its own.

    Unlike those of an executor the thread dies with the process: Ctrl-C and whoever has waited long
    enough don't wait for an answer that never comes.

    Args:
        function: What to call.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future
