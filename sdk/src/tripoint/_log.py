"""What the SDK says: to the logger `tripoint`, seldom, and never as an exception."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("tripoint")
_told: set[str] = set()


def tell_once(what: str, sentence: str, *words: object) -> None:
    """One line for each kind of thing, however often it happens; the rest shows in debug mode."""
    level = logging.DEBUG if what in _told else logging.WARNING
    _told.add(what)
    log.log(level, "tripoint: " + sentence, *words)


def harmless(method: Callable[P, R]) -> Callable[P, R | None]:
    """The same method, whose own failure is one line in the log and never the application's."""

    @functools.wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return method(*args, **kwargs)
        except Exception as error:
            tell_once(
                f"harmless:{method.__name__}", "%s() failed and was ignored: %r", method.__name__, error
            )
            return None

    return called


def speak_up() -> None:
    """Debug mode: every line, and on stderr where the application shows none of ours."""
    log.setLevel(logging.DEBUG)
    if not log.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
