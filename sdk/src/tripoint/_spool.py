"""Spans on their way out: held while the collector is away, within bounds, and never in the application's way."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach, detach, set_value
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from tripoint._log import log, tell_once
from tripoint._pack import Parcel, pack
from tripoint._wire import Answer, Wire

HELD_BYTES_MAX = 64 << 20
WAITING_MAX = 32_768  # spans that are not packed yet; the packer is never more than a second behind
BATCH = 512
LINGER_S = 1.0
EXIT_S = 5.0
_PAUSE_S, _PAUSE_MAX_S = 0.5, 30.0
_TRIES_OF_500 = 5

captured = 0
"""Captures that are open (`tripoint.testing`): what they see is not sent."""


class Spool(SpanProcessor):
    """Takes every sampled span at its end, packs it in one thread and sends it in another.

    Taking a span never waits. Packed bodies are held up to `held_bytes_max`; beyond it the oldest go and are
    counted. After a fork the child starts with nothing and threads of its own: what the parent holds, the
    parent sends.
    """

    def __init__(
        self,
        wire: Wire,
        resource: Mapping[str, str] | None = None,
        held_bytes_max: int = HELD_BYTES_MAX,
        linger_s: float = LINGER_S,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._wire, self._resource = wire, dict(resource or {})
        self._held_bytes_max, self._linger_s, self._pause_s = held_bytes_max, linger_s, pause_s
        self._closed = False
        self._reset()
        if hasattr(os, "register_at_fork"):
            reborn = weakref.WeakMethod(self._reborn)
            os.register_at_fork(after_in_child=lambda: (again := reborn()) and again())

    def _reset(self) -> None:
        self._waiting: deque[ReadableSpan] = deque()
        self._held: deque[Parcel] = deque()
        self._held_bytes = 0
        self._running = False
        self._packing = self._sending = False
        self._flying = 0
        self._starting = threading.RLock()
        self._pack_lock = threading.Lock()
        self._changed = threading.Condition()
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._failures = 0
        self._nobody_there = False
        self._trouble: str | None = None
        self._since = self._back_at = 0.0
        self._late = self._lost = self._lost_told = 0
        self.sent = 0

    @property
    def url(self) -> str:
        """Where the spans go."""
        return self._wire.url

    # In the application's threads

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span; never waits and never raises."""
        context = span.context
        if context is None or not context.trace_flags.sampled or self._closed or captured:
            return
        waiting = self._waiting
        waiting.append(span)
        if not self._running:
            self._start()
        count = len(waiting)
        if count >= BATCH:
            if count > WAITING_MAX:
                self._drop_waiting()
            if not self._wake.is_set():
                self._wake.set()

    def _drop_waiting(self) -> None:
        try:
            self._waiting.popleft()
        except IndexError:
            return
        self._count_lost(1)

    def _start(self) -> None:
        with self._starting:
            if self._running:
                return
            self._running = True
            try:
                for name, work in (("pack", self._pack_on), ("send", self._send_on)):
                    threading.Thread(target=work, name=f"tripoint-{name}", daemon=True).start()
            except RuntimeError:  # the interpreter is ending: the last flush does the work itself
                self._running = False

    def _reborn(self) -> None:
        """In a forked child."""
        self._wire.abandon()
        self._reset()
        # A child of multiprocessing leaves without the exit handlers; it has its own.
        for name in ("multiprocessing.util", "billiard.util"):
            util = sys.modules.get(name)
            if util is not None:
                util.register_after_fork(self, _finalize_with(util))

    # Packing

    def _pack_on(self) -> None:
        _hide_ourselves()
        while not self._closed:
            self._wake.wait(self._linger_s)
            self._wake.clear()
            self._pack()

    def _pack(self) -> None:
        with self._pack_lock:
            try:
                self._packing = True
                while self._waiting:
                    batch: list[ReadableSpan] = []
                    while self._waiting and len(batch) < BATCH:
                        batch.append(self._waiting.popleft())
                    self._pack_batch(batch)
            finally:
                self._packing = False
                with self._changed:
                    self._changed.notify_all()

    def _pack_batch(self, batch: list[ReadableSpan]) -> None:
        try:
            for parcel in pack(batch, self._resource, self._wire.packs, time.monotonic()):
                if isinstance(parcel, Parcel):
                    self._hold(parcel)
                else:
                    self._count_lost(parcel)
        except Exception as error:
            tell_once("pack", "%d spans could not be packed: %r", len(batch), error)
            self._count_lost(len(batch))

    def _hold(self, parcel: Parcel, oldest: bool = False) -> None:
        with self._changed:
            (self._held.appendleft if oldest else self._held.append)(parcel)
            self._held_bytes += len(parcel.body)
            dropped = 0
            while self._held_bytes > self._held_bytes_max and self._held:
                gone = self._held.popleft()
                self._held_bytes -= len(gone.body)
                dropped += gone.spans
            self._changed.notify_all()
        if dropped:
            self._count_lost(dropped)
            tell_once(
                f"full:{self._since}",
                "more than %d MiB are waiting; the oldest spans are dropped until %s answers",
                self._held_bytes_max >> 20,
                self._wire.url,
            )

    def _count_lost(self, spans: int) -> None:
        with self._changed:
            self._lost += spans

    # Sending

    def _send_on(self) -> None:
        _hide_ourselves()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._held or self._closed)
                if self._closed:
                    return
            pause = self._send_oldest()
            if pause:
                self._hurry.wait(pause)
            self._hurry.clear()

    def _send_oldest(self) -> float:
        """Send one body; returns for how many seconds to leave the collector alone."""
        with self._changed:
            if not self._held:
                return 0.0
            parcel = self._held.popleft()
            self._held_bytes -= len(parcel.body)
            self._sending, self._flying = True, parcel.spans
        try:
            began = time.monotonic()
            answer = self._wire.post(parcel.body, self._wire.packs)
            log.debug(
                "tripoint: %d spans, %d bytes: %s%s in %.0f ms",
                parcel.spans,
                len(parcel.body),
                answer.verdict,
                f" ({answer.sentence})" if answer.sentence else "",
                (time.monotonic() - began) * 1000,
            )
            return self._settle(parcel, answer)
        except Exception as error:
            tell_once("send", "%d spans could not be sent: %r", parcel.spans, error)
            self._count_lost(parcel.spans)
            return self._pause_s
        finally:
            with self._changed:
                self._sending, self._flying = False, 0
                self._changed.notify_all()

    def _settle(self, parcel: Parcel, answer: Answer) -> float:
        self._nobody_there, self._flying = answer.nobody_there, 0
        if answer.verdict == "again":
            self._complain(answer)
            self._failures += 1
            if answer.key in ("500", "408") and parcel.tries + 1 >= _TRIES_OF_500:
                self._count_lost(parcel.spans)
            else:
                self._hold(parcel._replace(tries=parcel.tries + 1), oldest=True)
            return self._pause(answer.after_s)
        self._failures = 0
        if answer.verdict == "refused":
            self._complain(answer)
            self._count_lost(parcel.spans)
            return 0.0
        self.sent += parcel.spans - answer.rejected
        self._recover(parcel)
        if answer.key:
            tell_once(answer.key, "%s (said once for each reason)", answer.sentence)
        return 0.0

    def _pause(self, after_s: float | None) -> float:
        longest = min(self._pause_s * 2.0 ** min(self._failures - 1, 10), _PAUSE_MAX_S)
        pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, hides nothing
        return max(pause, after_s + random.uniform(0.0, 0.5)) if after_s is not None else pause  # noqa: S311

    def _complain(self, answer: Answer) -> None:
        """One line when trouble begins or changes."""
        if self._trouble == answer.key:
            return
        if self._trouble is None:
            self._since, self._late, self._lost_told = time.monotonic(), 0, self._lost
        self._trouble, self._back_at = answer.key, 0.0
        log.error("tripoint: %s", answer.sentence)

    def _recover(self, parcel: Parcel) -> None:
        """One line when trouble is over and what was held is sent."""
        if self._trouble is None:
            return
        now = time.monotonic()
        self._back_at = self._back_at or now
        if parcel.made <= self._back_at:
            self._late += parcel.spans
        if self._held and self._held[0].made <= self._back_at:
            return
        lost, away = self._lost - self._lost_told, self._back_at - self._since
        log.warning(
            "tripoint: %s takes spans again after %.0f s; %d were sent late, %d were lost",
            self._wire.url,
            away,
            self._late,
            lost,
        )
        self._trouble = None

    # Flushing

    def flush(self, timeout: float, give_up: bool = False) -> bool:
        """Try to have everything sent by then; whether it was. `give_up` stops where nobody is there at all."""
        deadline = time.monotonic() + timeout
        if not self._running and self._waiting:
            self._start()
        if not self._running:
            return self._flush_here(deadline)
        self._nobody_there = False
        self._wake.set()
        self._hurry.set()

        def done() -> bool:
            return self._is_empty() or (
                give_up and self._nobody_there and not (self._packing or self._sending)
            )

        with self._changed:
            self._changed.wait_for(done, max(0.0, deadline - time.monotonic()))
        return self._is_empty()

    def _flush_here(self, deadline: float) -> bool:
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            self._pack()
            while self._held and time.monotonic() < deadline:
                pause = self._send_oldest()
                if self._nobody_there:
                    break
                time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
        finally:
            detach(token)
        return self._is_empty()

    def _is_empty(self) -> bool:
        return not (self._waiting or self._packing or self._held or self._sending)

    def left(self) -> int:
        """How many spans are neither sent nor given up."""
        with self._changed:
            return len(self._waiting) + self._flying + sum(parcel.spans for parcel in self._held)

    def lost(self) -> int:
        """How many spans were given up since the process began."""
        return self._lost

    def close(self, timeout: float, give_up: bool = False) -> bool:
        """Send what can be sent in time, say what could not, and take no more."""
        if self._closed:
            return True
        sent = self.flush(timeout, give_up)
        self._closed = True
        self._wake.set()
        with self._changed:
            self._changed.notify_all()
        if not sent:
            log.error(
                "tripoint: %d spans were not delivered to %s before the end", self.left(), self._wire.url
            )
        return sent

    def shutdown(self) -> None:
        """OpenTelemetry's call at the end of a provider: at most five seconds."""
        self.close(EXIT_S, give_up=True)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """OpenTelemetry's call."""
        return self.flush(timeout_millis / 1000)


def _hide_ourselves() -> None:
    """No instrumentation traces what this thread sends."""
    attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))


def _finalize_with(util: object) -> object:
    def at_start_of_child(spool: Spool) -> None:
        util.Finalize(None, spool.flush, args=(EXIT_S, True), exitpriority=10)  # type: ignore[attr-defined]

    return at_start_of_child
