"""What a user thought of an answer: a short span in the answer's trace, which leaves as all spans do."""

from __future__ import annotations

from typing import NamedTuple

from opentelemetry import trace
from opentelemetry.context import get_current
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, format_span_id, format_trace_id

from tripoint._log import harmless, tell_once
from tripoint._version import __version__
from tripoint._words import CONTEXT, calls_model, last_call, words_in

_LONGEST_COMMENT = 2_000
_LONGEST_NAME = 200
_tracer = trace.get_tracer("tripoint", __version__)


class Ids(NamedTuple):
    """What names an answer later: hex digits, or None where there was nothing to name."""

    trace_id: str | None
    span_id: str | None


def current_ids() -> Ids:
    """The ids of the call to a model that is under way here; else of the last one that ended inside the innermost
    `context`; else of the span that is open here. Keep them beside the answer for `feedback`. Never raises."""
    found = _here()
    return ids_of(found) if found is not None else Ids(None, None)


def ids_of(context: SpanContext) -> Ids:
    """The ids of a span, both None where it is not one that is sent."""
    if not context.is_valid:
        return Ids(None, None)
    return Ids(format_trace_id(context.trace_id), format_span_id(context.span_id))


@harmless
def _here() -> SpanContext | None:
    span = trace.get_current_span()
    if calls_model(span):
        return span.get_span_context()
    return last_call(get_current()) or span.get_span_context()


@harmless
def feedback(
    name: str,
    value: float,
    *,
    trace_id: str | None = None,
    span_id: str | None = None,
    comment: str | None = None,
    user: str | None = None,
) -> None:
    """A user's score of an answer on the dimension `name`: 0 (worst) to 1 (best), or True or False.

    Without ids it is of the answer that `current_ids()` names; with `trace_id` alone of the whole trace. `user` is who
    scores, else the `context`'s. `comment` leaves as `init(content=…)` says, 2,000 characters of it. Waits in memory
    like spans while Tripoint is away. Never raises and never waits; what is no score is one line in the log.
    """
    if trace_id is None:
        trace_id, span_id = current_ids()
    if trace_id is None:
        tell_once(
            "feedback:where", "feedback() was called where no answer is known; pass trace_id= and span_id="
        )
        return
    score = float(value)
    if not 0 <= score <= 1:
        tell_once("feedback:value", "feedback() takes a value from 0 to 1, not %r; it was dropped", value)
        return
    said: dict[str, str | float] = {
        "gen_ai.evaluation.name": str(name)[:_LONGEST_NAME],
        "gen_ai.evaluation.score.value": score,
        "tripoint.score.source": "feedback",
        "tripoint.score.span_id": span_id or "",
    }
    if (who := user if user is not None else words_in().get(CONTEXT["user"])) is not None:
        said["tripoint.score.author"] = str(who)
    if comment is not None:
        said["gen_ai.evaluation.explanation"] = str(comment)[:_LONGEST_COMMENT]
    around = trace.set_span_in_context(NonRecordingSpan(_parent(trace_id, span_id)), get_current())
    span = _tracer.start_span("tripoint.feedback", around)
    span.add_event("gen_ai.evaluation.result", said)
    span.end()


def _parent(trace_id: str, span_id: str | None) -> SpanContext:
    """Where feedback hangs in its trace. That of a whole trace has no span to hang on, and OpenTelemetry makes no span
    without a parent in a trace that is there: it gets one that nobody sends."""
    trace_number = int(trace_id, 16)
    number = int(span_id, 16) if span_id else (trace_number & (1 << 64) - 1) or 1
    found = SpanContext(trace_number, number, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    if not found.is_valid:
        raise ValueError(f"{trace_id!r} and {span_id!r} are no ids of a trace and a span")
    return found
