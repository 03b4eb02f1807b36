"""Group commit: bodies that arrive together share one transaction, and each hears only of its own fate."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.exc import DBAPIError

from core.errors import TripointError, Unavailable
from core.store.intake import Batch

log = structlog.get_logger()

# A group small enough that its commit holds nobody up for long, large enough to be worth one.
_GROUP_ROWS = 1000
_LINGER_S = 0.005


@dataclass(slots=True)
class _Pending:
    batch: Batch
    done: asyncio.Future[int]


class Intake:
    """The queue in front of the ledger. `submit` returns once the batch is committed.

    The queue is bounded by the `Room` that its callers reserve in before they submit.
    """

    def __init__(self, write: Callable[[Sequence[Batch]], int]) -> None:
        self._write = write
        self._pending: deque[_Pending] = deque()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="intake")
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="intake")

    async def stop(self) -> None:
        """Write what was submitted, then end; whoever submits from now on is told to come again."""
        self._stopping = True
        self._wake.set()
        if self._task:
            await asyncio.gather(self._task, return_exceptions=True)
        while self._pending:
            _settle(self._pending.popleft(), _stopping())
        self._thread.shutdown()

    async def submit(self, batch: Batch) -> int:
        """Commit the batch; returns how many of its rows the ledger refused (0 but for rows that no check
        foresaw). Raises `Unavailable` where the database cannot be used: nothing of the batch is there then."""
        if not len(batch):
            return 0
        if self._stopping:
            raise _stopping()
        pending = _Pending(batch, asyncio.get_running_loop().create_future())
        self._pending.append(pending)
        self._wake.set()
        return await pending.done

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping or self._pending:
            await self._wake.wait()
            if not self._stopping:
                await asyncio.sleep(_LINGER_S)
            group = self._take()
            if not self._pending and not self._stopping:
                self._wake.clear()
            if group:
                await loop.run_in_executor(self._thread, self._commit, group)

    def _take(self) -> list[_Pending]:
        group: list[_Pending] = []
        rows = 0
        while self._pending and (not group or rows + len(self._pending[0].batch) <= _GROUP_ROWS):
            item = self._pending.popleft()
            rows += len(item.batch)
            group.append(item)
        return group

    def _commit(self, group: list[_Pending]) -> None:
        """One transaction for the group; where a row spoils it, one for each body."""
        try:
            self._write([item.batch for item in group])
        except DBAPIError:
            for item in group:
                self._commit_alone(item)
        except TripointError as error:
            for item in group:
                _settle(item, error)
        except Exception as error:
            log.exception("intake.failed", bodies=len(group))
            for item in group:
                _settle(item, Unavailable(f"The rows could not be written: {type(error).__name__}."))
        else:
            for item in group:
                _settle(item, 0)

    def _commit_alone(self, item: _Pending) -> None:
        try:
            _settle(item, self._halve(item.batch))
        except TripointError as error:
            _settle(item, error)
        except Exception as error:
            log.exception("intake.failed", bodies=1)
            _settle(item, Unavailable(f"The rows could not be written: {type(error).__name__}."))

    def _halve(self, batch: Batch) -> int:
        """Write all of a batch but the rows that the database refuses; returns their number."""
        try:
            self._write([batch])
            return 0
        except DBAPIError as error:
            if len(batch) == 1:
                log.error("intake.refused", project=batch.project_id, error=str(error.orig)[:300])
                return 1
            return sum(self._halve(half) for half in _halves(batch))


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    """The batch in two, each content and score with its span, scores of spans elsewhere in the second."""
    rows = [*batch.requests, *batch.spans]
    middle = len(rows) // 2
    cut = min(middle, len(batch.requests))
    rest = middle - cut
    first = replace(batch, requests=batch.requests[:cut], spans=batch.spans[:rest], contents=(), scores=())
    second = replace(batch, requests=batch.requests[cut:], spans=batch.spans[rest:], contents=(), scores=())
    ids = {(record.trace_id, record.span_id) for record, _ in first.requests}
    ids |= {(span.trace_id, span.span_id) for span in first.spans}
    return (
        replace(
            first,
            contents=[c for c in batch.contents if (c.trace_id, c.span_id) in ids],
            scores=[s for s in batch.scores if (s.trace_id, s.span_id) in ids],
        ),
        replace(
            second,
            contents=[c for c in batch.contents if (c.trace_id, c.span_id) not in ids],
            scores=[s for s in batch.scores if (s.trace_id, s.span_id) not in ids],
        ),
    )


def _stopping() -> Unavailable:
    return Unavailable("The collector is stopping. Send the same body again in a moment.")


def _settle(item: _Pending, result: int | Exception) -> None:
    """Resolve a waiting submit from the writing thread."""

    def resolve() -> None:
        if item.done.done():
            return
        if isinstance(result, Exception):
            item.done.set_exception(result)
        else:
            item.done.set_result(result)

    item.done.get_loop().call_soon_threadsafe(resolve)
