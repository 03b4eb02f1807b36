"""A product's answers, judged and labelled in part: what the Quality page shows in tests and pictures."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine

from core.judging.builtin import FAITHFULNESS
from core.pricing.price import PriceBook
from core.request import Content, RequestRecord
from core.usage import Usage
from tests.conftest import Project
from tests.store.judged import a_label, judged, keep_drawn, keep_judged, keep_rubric, keep_scores
from tests.store.rows import a_request, store

TIERS = {"lightweight": 0.62, "standard": 0.74, "premium": 0.86}
FEATURES = ("support-chat", "search-answers", "document-summary")
ASKED = [
    {"role": "system", "content": "Answer from the document alone.\nDocument: an invoice of two pages."},
    {"role": "user", "content": "Why is my November invoice higher than last month?"},
]


def answers(
    engine: Engine, project: Project, book: PriceBook, now: datetime, count: int, seed: int = 3
) -> list[RequestRecord]:
    """Requests of two weeks with their text, three tiers and three features, in sessions of about three."""
    chance = random.Random(seed)
    made = [
        a_request(
            now - timedelta(seconds=chance.uniform(60, 14 * 86400)),
            tier=chance.choice(list(TIERS)),
            feature=chance.choice(FEATURES),
            session=f"session-{seed}-{chance.randrange(max(1, count // 3))}",
            usage=Usage(
                uncached_input=900,
                visible_output=chance.randrange(40, 400),
                reading="inclusive",
                raw={"input": 900},
            ),
        )
        for _ in range(count)
    ]
    text = json.dumps(ASKED)
    said = json.dumps([{"role": "assistant", "content": "Two seats were added on 3 November."}])
    contents = [Content(r.trace_id, r.span_id, r.started_ns, input=text, output=said) for r in made]
    store(engine, project, book, made, contents=contents)
    return made


def judge_them(
    engine: Engine, project: Project, made: Sequence[RequestRecord], labelled: float, seed: int = 3
) -> int:
    """Judge half of them for certain and half with a chance of 0.5, a little too kindly, and label a share."""
    chance = random.Random(seed)
    of = keep_rubric(engine, project, FAITHFULNESS)
    rows, drawn, labels = [], [], []
    for at, record in enumerate(made):
        share = 1.0 if at % 2 else 0.5
        if chance.random() > share:
            continue
        true = TIERS[record.context.tier or "standard"]
        human = min(1.0, max(0.0, round((true + chance.gauss(0, 0.22)) * 4) / 4))
        score = min(1.0, max(0.0, round((human + 0.08 + chance.gauss(0, 0.15)) * 4) / 4))
        said = {"faithfulness": "Every claim stands in the document."}
        fields = {"chance": share, "label_chance": labelled, "said": said}
        rows.append(judged(project, of, record, {"faithfulness": score}, **fields))
        if chance.random() < labelled:
            drawn.append(record)
            labels.append(a_label(record, human, "faithfulness"))
            if chance.random() < 0.4:
                second = min(1.0, max(0.0, human + chance.choice((-0.25, 0, 0, 0.25))))
                labels.append(a_label(record, second, "faithfulness", author="bea"))
    keep_judged(engine, project, rows)
    if drawn:
        keep_drawn(engine, project, of, drawn, rubric_name="faithfulness")
        keep_scores(engine, project, labels)
    return len(rows)
