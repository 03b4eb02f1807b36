"""People's labels as they leave and enter: one row a request, dimension and rater, checked before any is stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.errors import BadQuestion
from core.judging.rubric import Rubric
from core.ledger import is_hex
from core.score import AUTHOR_MAX, FUTURE, PAST, Score
from core.window import parse_instant

IMPORT_MAX = 10_000
"""Labels that are taken at once."""
EXPORT_MAX = 100_000
"""Labels that a file holds at the most."""
COLUMNS = (
    *("trace_id", "span_id", "rubric", "version", "dimension", "value", "level", "rater", "time", "comment"),
    *("drawn", "judge", "judge_chance", "label_chance"),
)
"""What a label has; the last four are ours to know, and are passed over in what comes in."""


@dataclass(frozen=True, slots=True)
class Label:
    """What one person thinks of one request on one dimension, and what is known beside it.

    `drawn` labels are of requests that were drawn for people; `judge_chance` and `label_chance` are the probabilities
    with which such a request was judged, and then labelled. `judge` is what the judge said, None where another person
    is still to label the request, who might read it here.
    """

    trace_id: str
    span_id: str
    rubric: str
    version: str
    dimension: str
    value: float
    level: str | None
    rater: str
    time: datetime
    comment: str | None = None
    drawn: bool = False
    judge: float | None = None
    judge_chance: float | None = None
    label_chance: float | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """A label that comes in, checked."""

    score: Score
    rubric: str
    dimension: str


def check_labels(
    rows: Sequence[Mapping[str, Any]], rubrics: Sequence[Rubric], rater: str, now: datetime
) -> list[Given]:
    """The labels that rows of an import hold, or a `BadQuestion` that names the first bad row, from 1. `rubrics` are
    all versions of the project, the newest first; `rater` is who labelled where a row does not say."""
    if not rows:
        raise BadQuestion("There is no label in this body.")
    if len(rows) > IMPORT_MAX:
        raise BadQuestion(f"These are {len(rows)} labels. Send at most {IMPORT_MAX} at once.")
    newest: dict[str, Rubric] = {}
    versions: dict[tuple[str, str], Rubric] = {}
    for one in rubrics:
        newest.setdefault(one.name, one)
        versions[one.name, one.version] = one
    found = []
    for at, row in enumerate(rows, 1):
        try:
            found.append(_checked(row, newest, versions, rater, now))
        except BadQuestion as error:
            raise BadQuestion(f"Row {at}: {error} None of these labels was stored.") from None
    return found


def _checked(
    row: Mapping[str, Any],
    newest: Mapping[str, Rubric],
    versions: Mapping[tuple[str, str], Rubric],
    rater: str,
    now: datetime,
) -> Given:
    if strange := sorted(str(name) for name in row if name not in COLUMNS):
        raise BadQuestion(f"there is no column {strange[0][:60]!r}. Use {', '.join(COLUMNS)}.")
    trace_id, span_id = _text(row, "trace_id").lower(), _text(row, "span_id").lower()
    if not is_hex(trace_id, 32) or not is_hex(span_id, 16):
        raise BadQuestion("trace_id is 32 hex digits, span_id 16.")
    name, version = _text(row, "rubric"), _text(row, "version")
    rubric = versions.get((name, version)) if version else newest.get(name)
    if rubric is None:
        of = f"version {version[:40]!r} of " if version and name in newest else ""
        raise BadQuestion(f"this project has no {of}rubric {name[:60]!r}.")
    dimension = _text(row, "dimension") or (rubric.dimensions[0].name if len(rubric.dimensions) == 1 else "")
    names = [one.name for one in rubric.dimensions]
    if dimension not in names:
        raise BadQuestion(f"dimension={dimension[:60]!r} is none of {', '.join(names)}.")
    who = _text(row, "rater") or rater
    if len(who) > AUTHOR_MAX:
        raise BadQuestion(f"rater is longer than {AUTHOR_MAX} characters.")
    comment = _text(row, "comment")
    if len(comment) > 2000:
        raise BadQuestion("comment is longer than 2000 characters.")
    value = _value(row.get("value"))
    of_dimension = next(one for one in rubric.dimensions if one.name == dimension)
    words = next((level.words for level in of_dimension.levels if level.score == value), None)
    at = _time(_text(row, "time"), now)
    said = [trace_id, span_id, rubric.score_name(dimension), who, value, at.isoformat(), comment]
    return Given(
        Score(
            trace_id=trace_id,
            span_id=span_id,
            name=rubric.score_name(dimension),
            value=value,
            recorded_at=at,
            id=f"label-{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:40]}",
            source="label",
            label=words and words[:200],
            author=who,
            comment=comment or None,
        ),
        rubric.name,
        dimension,
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadQuestion(f"{name} is a text.")
    # Our own files put an apostrophe before what a spreadsheet would run.
    text = value.removeprefix("'") if value[1:2] in ("=", "+", "-", "@") else value
    if "\0" in text:
        raise BadQuestion(f"{name} holds the character NUL.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadQuestion(f"{name} holds half a character.") from None
    return text.strip()


def _value(given: Any) -> float:
    try:
        number = float("nan") if given is None or isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    # NaN is in no range either.
    if not 0 <= number <= 1:
        raise BadQuestion(f"value={str(given)[:40]!r} is no number from 0 (worst) to 1 (best).")
    return number


def _time(text: str, now: datetime) -> datetime:
    at = parse_instant(text, "time") or now
    if not now - PAST <= at <= now + FUTURE:
        raise BadQuestion(f"time={text[:40]!r} is more than a day ahead or ten years ago.")
    return at
