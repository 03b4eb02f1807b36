"""A call to a judge as money and as a request of the project."""

from __future__ import annotations

import hashlib
from datetime import datetime
from urllib.parse import urlsplit

from core.judging.judge import Judge
from core.judging.prompt import Prompt
from core.judging.rubric import Rubric
from core.pricing.price import CostLine, PriceBook, Priced, price_request
from core.question import JUDGE_FEATURE, JUDGE_SOURCE
from core.request import Context, RequestRecord
from core.store.judging import Call, Task
from core.store.rows import nanoseconds
from core.usage import UNKNOWN, Usage
from judge.models import Answer, CallError


def dearest_pico(judge: Judge, prompt: Prompt, book: PriceBook, now: datetime) -> int | None:
    """The dearest that a call with this prompt may cost, in pico-dollars; None where its price is not known."""
    text = len(prompt.system.encode()) + len(prompt.user.encode()) + len(str(prompt.schema))
    asked, answered = judge.dearest_tokens(text)
    usage = Usage(uncached_input=asked, visible_output=answered, reading="inclusive")
    record = RequestRecord(
        trace_id="0" * 32,
        span_id="0" * 16,
        started_ns=nanoseconds(now),
        duration_ns=0,
        provider=judge.provider,
        request_model=judge.model,
        usage=usage,
    )
    return _priced(judge, record, book).cost_pico


def call_of(
    judge: Judge, task: Task, rubric: Rubric, came: Answer | CallError, book: PriceBook, dearest: int
) -> Call:
    """The call as a request, priced. Where a server answered and nobody knows what it charged, the budget is
    charged with the dearest."""
    record = _record(judge, task, rubric, came)
    priced = _priced(judge, record, book)
    if priced.cost_pico is not None and record.usage.known:
        charged = priced.cost_pico
    elif isinstance(came, CallError) and not came.may_be_charged:
        charged = 0
    else:
        charged = dearest
    return Call(record, priced, charged)


def _record(judge: Judge, task: Task, rubric: Rubric, came: Answer | CallError) -> RequestRecord:
    answer = came if isinstance(came, Answer) else None
    failed = came if isinstance(came, CallError) else None
    return RequestRecord(
        # One trace a judgement, one span a call.
        trace_id=_hex(f"judging/{task.id}/{task.trace_id}", 32),
        span_id=_hex(f"{task.id}/{task.attempts}/{came.started_ns}", 16),
        started_ns=came.started_ns,
        duration_ns=max(came.duration_ns, 0),
        name=f"judge {rubric.name}",
        source=JUDGE_SOURCE,
        native=True,
        response_id=answer.response_id if answer else None,
        context=Context(
            feature=JUDGE_FEATURE,
            tags={
                "rubric": rubric.name,
                "judge": judge.name,
                "purpose": task.purpose,
                "judged": f"{task.trace_id}-{task.span_id}",
            },
        ),
        provider=judge.provider,
        request_model=judge.model,
        response_model=answer.response_model if answer else None,
        operation="chat",
        server_address=urlsplit(judge.base_url).hostname,
        usage=answer.usage if answer else UNKNOWN,
        streaming=False,
        attempt=task.attempts,
        status="error" if failed else "ok",
        error_type=failed.error_type if failed else None,
        http_status=failed.status if failed else 200,
        finish_reason=answer.finish_reason if answer else None,
    )


def _priced(judge: Judge, record: RequestRecord, book: PriceBook) -> Priced:
    """By the judge's own prices where it has any, else by the book."""
    rates = judge.own_rates()
    if rates is None:
        return price_request(record, book)
    if record.status == "error" and not record.usage.known:
        return Priced("unpriced", "failed_without_usage", None, None, None, (), {})
    asked, answered = record.usage.input_tokens, record.usage.output_tokens
    if asked is None or answered is None:
        return Priced("unpriced", "usage_unknown", None, None, None, (), {})
    lines = tuple(
        CostLine(meter, tokens, rate, tokens * rate)
        for meter, tokens, rate in (("input", asked, rates[0]), ("output", answered, rates[1]))
    )
    cost = sum(line.pico for line in lines)
    return Priced("priced", None, cost, cost, None, lines, {})


def _hex(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
