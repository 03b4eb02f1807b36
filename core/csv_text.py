"""Answers as comma-separated text (RFC 4180): every digit, times with their offset, nothing where nothing is known.

Cells of text that a spreadsheet would run as a formula begin with an apostrophe instead.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from core.judged import EstimateRow, Quality
from core.label import COLUMNS, Label
from core.ledger import LedgerRequest
from core.money import to_decimal_string
from core.question import METRICS, MONEY, Answer, CostQuestion
from core.window import Window

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"
Cell = str | int | float | None

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text_cell(value: str | None) -> str | None:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if value and value.startswith(_FORMULA) else value


def lines(rows: Iterable[Sequence[Cell]]) -> str:
    """The rows as text; None is an empty cell."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue()


def attribution_text(pages: Iterable[Answer]) -> Iterator[str]:
    """A question's answers, one after the other, as one table: its dimensions, `start` on the clocks of its zone,
    its metrics with their units in the names."""
    for at, page in enumerate(pages):
        if at == 0:
            yield lines([_attribution_names(page.question)])
        yield lines(_attribution_rows(page))


def _attribution_names(question: CostQuestion) -> list[Cell]:
    start = ["start"] if question.interval else []
    return [
        *map(text_cell, question.group_by),
        *start,
        *map(_metric_name, question.metrics),
        "unpriced_requests",
    ]


def _metric_name(metric: str) -> str:
    unit = {"USD": "_usd", "ms": "_ms"}.get(METRICS[metric], "")
    return metric + unit


def _attribution_rows(answer: Answer) -> Iterator[list[Cell]]:
    question, zone = answer.question, ZoneInfo(answer.question.zone)
    for row in answer.rows:
        start = [_time(row.start.astimezone(zone))] if row.start else []
        figures = [_figure(name, row.metrics[name]) for name in question.metrics]
        yield [*map(text_cell, row.group), *start, *figures, row.unpriced]


def _figure(metric: str, value: float | int | None) -> Cell:
    return _money(value) if metric in MONEY else value


def _money(pico: float | int | None) -> str | None:
    return None if pico is None else to_decimal_string(int(pico))


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _ms(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e6


def _text(read: Callable[[LedgerRequest], str | None]) -> Callable[[LedgerRequest], Cell]:
    return lambda item: text_cell(read(item))


def _word(flag: bool | None) -> str | None:
    return None if flag is None else str(flag).lower()


_REQUEST: Mapping[str, Callable[[LedgerRequest], Cell]] = {
    "id": lambda item: item.id,
    "trace_id": lambda item: item.record.trace_id,
    "span_id": lambda item: item.record.span_id,
    "started_at": lambda item: _time(_EPOCH + timedelta(microseconds=item.record.started_ns // 1000)),
    "service": _text(lambda item: item.record.service),
    "environment": _text(lambda item: item.record.environment),
    "release": _text(lambda item: item.record.release),
    "feature": _text(lambda item: item.record.context.feature),
    "user": _text(lambda item: item.record.context.user),
    "session": _text(lambda item: item.record.context.session),
    "tenant": _text(lambda item: item.record.context.tenant),
    "plan": _text(lambda item: item.record.context.plan),
    "tier": _text(lambda item: item.record.context.tier),
    "tags": lambda item: json.dumps(dict(item.record.context.tags)) if item.record.context.tags else None,
    "provider": _text(lambda item: item.record.provider),
    "request_model": _text(lambda item: item.record.request_model),
    "response_model": _text(lambda item: item.record.response_model),
    "operation": _text(lambda item: item.record.operation),
    "status": lambda item: item.record.status,
    "error_type": _text(lambda item: item.record.error_type),
    "http_status": lambda item: item.record.http_status,
    "finish_reason": _text(lambda item: item.record.finish_reason),
    "streaming": lambda item: _word(item.record.streaming),
    "input_tokens": lambda item: item.record.usage.input_tokens,
    "uncached_input_tokens": lambda item: item.record.usage.uncached_input,
    "cache_read_tokens": lambda item: item.record.usage.cache_read,
    "cache_write_tokens": lambda item: item.record.usage.cache_write,
    "output_tokens": lambda item: item.record.usage.output_tokens,
    "reasoning_tokens": lambda item: item.record.usage.reasoning,
    "ttft_ms": lambda item: _ms(item.record.ttft_ns),
    "duration_ms": lambda item: _ms(item.record.duration_ns),
    "cost_usd": lambda item: _money(item.cost_pico),
    "list_cost_usd": lambda item: _money(item.list_pico),
    "cost_reported_usd": lambda item: _money(item.record.cost_reported_pico),
    "pricing_status": lambda item: item.pricing_status,
    "pricing_reason": _text(lambda item: item.pricing_reason),
    "state": lambda item: item.state,
    "source": _text(lambda item: "aggregate" if item.record.aggregate else item.record.source),
}


def requests_text(parts: Iterable[Sequence[LedgerRequest] | str]) -> Iterator[str]:
    """Requests as a table. A cursor among the parts says that the table ends before its question does: a last line
    tells how to go on."""
    head, count = lines([list(_REQUEST)]), 0
    for part in parts:
        if isinstance(part, str):
            words = f"# {count} requests are here and there are more: ask again with cursor={part}"
            yield head + lines([[words, *[None] * (len(_REQUEST) - 1)]])
        else:
            count += len(part)
            yield head + lines([read(item) for read in _REQUEST.values()] for item in part)
        head = ""
    if head:
        yield head


_ESTIMATE = (
    *("name", "requests", "judged", "coverage", "sessions", "escalated", "open_to_labels"),
    *("judge_mean", "judge_low", "judge_high", "judge_reason"),
    *("corrected_mean", "corrected_low", "corrected_high", "corrected_reason", "method", "labels", "gain"),
    *("at_length_mean", "at_length_low", "at_length_high", "at_length_reason"),
)


def estimates_text(question: CostQuestion, rows: Iterable[EstimateRow]) -> Iterator[str]:
    """Estimates as one table: the question's dimensions, `start` on the clocks of its zone, then each mean with its
    interval, or why it is missing."""
    start = ["start"] if question.interval else []
    yield lines([[*map(text_cell, question.group_by), *start, *_ESTIMATE]])
    zone = ZoneInfo(question.zone)
    yield lines(
        [
            *map(text_cell, row.group),
            *([_time(row.start.astimezone(zone))] if row.start else []),
            *_estimate_cells(row.quality),
        ]
        for row in rows
    )


def _estimate_cells(of: Quality) -> list[Cell]:
    judge, corrected, length = of.judge, of.corrected, of.at_length
    right: list[Cell] = (
        [None] * 7
        if corrected is None
        else [
            *(corrected.value, corrected.low, corrected.high, corrected.reason),
            *(corrected.method, corrected.labels, corrected.gain),
        ]
    )
    return [
        *(
            text_cell(of.name),
            of.requests,
            of.judged,
            of.coverage,
            of.sessions,
            of.escalated,
            of.open_to_labels,
        ),
        *(judge.value, judge.low, judge.high, judge.reason),
        *right,
        *(length.value, length.low, length.high, length.reason),
    ]


def labels_text(parts: Iterable[Sequence[Label] | str]) -> Iterator[str]:
    """Labels as a table that an import takes as it is. A cursor among the parts says that there are more."""
    head, count = lines([list(COLUMNS)]), 0
    for part in parts:
        if isinstance(part, str):
            words = f"# {count} labels are here and there are more: ask again with cursor={part}"
            yield head + lines([[words, *[None] * (len(COLUMNS) - 1)]])
        else:
            count += len(part)
            yield head + lines(map(_label_cells, part))
        head = ""


def _label_cells(label: Label) -> list[Cell]:
    values: list[Cell | bool | datetime] = [getattr(label, name) for name in COLUMNS]
    return [
        _word(value)
        if isinstance(value, bool)
        else _time(value)
        if isinstance(value, datetime)
        else text_cell(value)
        if isinstance(value, str)
        else value
        for value in values
    ]


def file_name(subject: str, group_by: Sequence[str], interval: str | None, window: Window, zone: str) -> str:
    """What a file is called that holds an answer: subject, grouping and window, in letters that every disk takes."""
    by = "-and-".join(group_by)
    parts = [f"tripoint-{subject}", *([f"by-{by}"] if by else []), *([f"by-{interval}"] if interval else [])]
    for word, at in (("from", window.start), ("to", window.end)):
        if at is not None:
            local = at.astimezone(ZoneInfo(zone))
            whole = (local.hour, local.minute, local.second) == (0, 0, 0)
            parts.append(f"{word}-{local:%Y-%m-%d}" if whole else f"{word}-{local:%Y-%m-%dT%H%M%S}")
    return re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(parts))[:180] + ".csv"


def disposition(name: str) -> dict[str, str]:
    """The header that makes a browser keep an answer as a file of this name."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def begun(parts: Iterator[str]) -> Iterator[str]:
    """The same text, its beginning made already: what cannot be answered fails here, while it can still be said."""
    first = next(parts, "")

    def all_of_it() -> Iterator[str]:
        yield first
        yield from parts

    return all_of_it()
