"""Ctrl-C that does not get lost.

Python prints and drops an exception that is raised in a `__del__` or in a callback of the garbage collector, and a signal
comes wherever the process happens to be; libraries turn one into errors of their own. What is interrupted is noted here as
well, and asked for at the next batch or band.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_noted = threading.Event()


@contextmanager
def noting_interrupts() -> Iterator[None]:
    """Within the block, Ctrl-C also makes the next `raise_if_interrupted` raise.

    Where Ctrl-C is switched off, handled by others, or the thread is not the main one, it stays as it is.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not (ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield
        return
    signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _noted.clear()


def raise_if_interrupted() -> None:
    """Raise what Ctrl-C has raised before, in case that got lost.

    Raises:
        KeyboardInterrupt: if there was one in the block of `noting_interrupts`.
    """
    if _noted.is_set():
        raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> NoReturn:
    _noted.set()
    raise KeyboardInterrupt
