"""Runs one application over its part of the workload, in a process of its own, as its users would.

`python -m demo.drive SERVICE …` is started by the demo; it says how far it is as lines of JSON. It plays what is not
the applications' own: the web framework's root span, the users, and, in the HTTP clients, the header that asks the
simulated provider for what the workload says (docs/simulated-provider.md).
"""

from __future__ import annotations

import argparse
import asyncio
import contextvars
import json
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import anthropic
import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode

import tripoint
from demo.apps.ide_plugin import IdePlugin
from demo.apps.legal_desk import LegalDesk
from demo.apps.summariser import Summariser
from demo.apps.support_bot import SupportBot
from demo.backdate import Backdater, Clock, LiveClock, VisitIds, clock
from demo.parent import end_with_parent
from demo.workload import Visit, live_visits, visits

_THREADS = 6
_TASKS = 8
_TELL_EVERY = 25
_LIVE_PAUSE_S = 3.0
_LIVE_AT_MOST_S = 4 * 3600.0
_KEY = "sk-simulated"
_GAVE_UP = (openai.APIError, anthropic.APIError)


@dataclass
class Tally:
    """How far it is; a line of JSON now and then."""

    visits: int = 0
    calls: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, calls: int) -> None:
        with self._lock:
            self.visits, self.calls = self.visits + 1, self.calls + calls
            if self.visits % _TELL_EVERY == 0:
                self.tell()

    def tell(self, **more: object) -> None:
        print(json.dumps({"visits": self.visits, "calls": self.calls, **more}), flush=True)


# the HTTP clients --------------------------------------------------------------------------------------


def _ask(request: Any) -> None:
    here = clock.get()
    if here is not None:
        retry = request.headers.get("x-stainless-retry-count", "0") != "0"
        request.headers["x-simulate"] = here.behaviour(json.loads(request.content)["model"], retry)


def _told(response: Any) -> None:
    here = clock.get()
    if here is not None:
        here.answered(response.status_code < 400, response.headers)


async def _ask_async(request: Any) -> None:
    _ask(request)


async def _told_async(response: Any) -> None:
    _told(response)


_HOOKS: Any = {"request": [_ask], "response": [_told]}
_ASYNC_HOOKS: Any = {"request": [_ask_async], "response": [_told_async]}


def _gpt(url: str) -> openai.OpenAI:
    http = openai.DefaultHttpxClient(event_hooks=_HOOKS, trust_env=False)
    return openai.OpenAI(base_url=f"{url}/v1", api_key=_KEY, http_client=http)


def _async_gpt(url: str) -> openai.AsyncOpenAI:
    http = openai.DefaultAsyncHttpxClient(event_hooks=_ASYNC_HOOKS, trust_env=False)
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=_KEY, http_client=http)


def _claude(url: str) -> anthropic.Anthropic:
    http = anthropic.DefaultHttpxClient(event_hooks=_HOOKS, trust_env=False)
    return anthropic.Anthropic(base_url=url, api_key=_KEY, http_client=http)


def _async_claude(url: str) -> anthropic.AsyncAnthropic:
    http = anthropic.DefaultAsyncHttpxClient(event_hooks=_ASYNC_HOOKS, trust_env=False)
    return anthropic.AsyncAnthropic(base_url=url, api_key=_KEY, http_client=http)


# the users ---------------------------------------------------------------------------------------------

Serve = Callable[[Visit], str]
ServeAsync = Callable[[Visit], Coroutine[Any, Any, str]]


def _sync_app(service: str, url: str) -> Serve:
    """What the application does for one visit."""
    if service == "support-bot":
        bot = SupportBot(_gpt(url), _claude(url))
        return lambda visit: bot.answer(visit.customer, visit.feature.prompt)
    if service == "summariser":
        summariser = Summariser(_gpt(url))
        return lambda visit: summariser.summarise(visit.customer, visit.feature.prompt)
    desk = LegalDesk(_gpt(url), _claude(url))
    return lambda visit: desk.analyse(visit.customer, visit.feature.prompt)


def _async_app(url: str) -> ServeAsync:
    plugin = IdePlugin(_async_gpt(url), _async_claude(url), own=_async_gpt(url))

    async def serve(visit: Visit) -> str:
        if visit.feature.name == "code-review":
            return await plugin.review(visit.customer, visit.feature.prompt)
        return await plugin.complete(visit.customer, visit.feature.prompt)

    return serve


def _root(visit: Visit) -> Any:
    """The span that a web framework's instrumentation begins for each request."""
    return trace.get_tracer("demo.web").start_as_current_span(
        f"POST /{visit.feature.name}",
        kind=SpanKind.SERVER,
        record_exception=False,
        set_status_on_exception=False,
    )


@contextmanager
def _visit(here: Clock, tally: Tally) -> Iterator[None]:
    """One visit from its root span to its place in the tally, answered or given up."""
    clock.set(here)
    with _root(here.visit):
        try:
            yield
        except _GAVE_UP:
            trace.get_current_span().set_status(Status(StatusCode.ERROR))
    tally.add(here.calls)


def run_sync(service: str, url: str, chosen: Iterable[Visit], tally: Tally) -> None:
    """Several users at once, a thread each."""
    serve = _sync_app(service, url)

    def visit_once(visit: Visit) -> None:
        with _visit(Clock(visit), tally):
            serve(visit)

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(lambda visit: contextvars.Context().run(visit_once, visit), chosen):
            pass


async def run_async(url: str, chosen: Iterable[Visit], tally: Tally) -> None:
    """Several users at once, a task each."""
    serve = _async_app(url)
    waiting = iter(chosen)

    async def visit_once(visit: Visit) -> None:
        with _visit(Clock(visit), tally):
            await serve(visit)

    async def user() -> None:
        for visit in waiting:
            await asyncio.get_running_loop().create_task(visit_once(visit), context=contextvars.Context())

    await asyncio.gather(*(user() for _ in range(_TASKS)))


def run_live(url: str, tally: Tally) -> None:
    """Now and then a visit in real time, for hours at most, so that the dashboard moves; the provider waits."""
    apps = {service: _sync_app(service, url) for service in ("support-bot", "legal-desk")}
    plugin = _async_app(url)
    loop = asyncio.new_event_loop()
    until = time.monotonic() + _LIVE_AT_MOST_S
    for visit in live_visits(seed=time.time_ns()):
        if time.monotonic() > until:
            return
        with _visit(LiveClock(visit), tally):
            if visit.feature.service == "ide-plugin":
                loop.run_until_complete(plugin(visit))
            else:
                apps[visit.feature.service](visit)
        time.sleep(_LIVE_PAUSE_S)


# the process -------------------------------------------------------------------------------------------


def main() -> None:
    given = _arguments()
    end_with_parent(1)
    warnings.simplefilter("ignore", DeprecationWarning)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    if not given.live:
        # The SDK joins this provider, as it joins that of any application, and sends what comes after it.
        provider = TracerProvider(id_generator=VisitIds())
        provider.add_span_processor(Backdater())
        trace.set_tracer_provider(provider)
    tripoint.init(given.endpoint, service=given.service, environment="demo", release=given.release)
    if not tripoint.instrument_openai() or not tripoint.instrument_anthropic():
        sys.exit("The demo needs the instrumentations of openai and anthropic.")
    tally = Tally()
    if given.live:
        run_live(given.provider, tally)
    else:
        chosen = _chosen(given)
        if given.service == "ide-plugin":
            asyncio.run(run_async(given.provider, chosen, tally))
        else:
            run_sync(given.service, given.provider, chosen, tally)
    sent = tripoint.shutdown(60)
    tally.tell(done=True, sent=sent, cpu_s=round(time.process_time(), 3))


def _chosen(given: argparse.Namespace) -> list[Visit]:
    found = visits(datetime.fromisoformat(given.midnight), share=given.share)
    return [v for v in found if v.feature.service == given.service and v.release == given.release]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.drive", description=__doc__)
    parser.add_argument("service")
    parser.add_argument("--provider", required=True, help="address of the simulated provider")
    parser.add_argument("--endpoint", required=True, help="address of Tripoint; its key is in TRIPOINT_KEY")
    parser.add_argument("--release", default="2026.10")
    parser.add_argument("--midnight", help="the end of the two weeks")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--live", action="store_true", help="visits of all services in real time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
