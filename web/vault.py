"""The bounded place where passwords are hashed: each takes an eighth of a second and 32 MiB."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from core.errors import Overloaded

P = ParamSpec("P")
T = TypeVar("T")


class Vault:
    """Runs `at_once` of the calls beside the event loop while `waiting` more wait; others are `Overloaded`."""

    def __init__(self, at_once: int = 2, waiting: int = 16) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="vault")
        self._room = at_once + waiting

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the call returns."""
        if self._room == 0:
            raise Overloaded("Too many people sign in at this moment. Try again in a few seconds.", 3)
        self._room -= 1
        try:
            return await asyncio.wrap_future(self._pool.submit(call, *args, **kwargs))
        finally:
            self._room += 1
