"""What OpenAPI shows is what the API answers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from api import drift_examples, examples, schema
from api.alerts import AlertOut, AlertPage, StreamsOut, TermsBody
from api.anchors import AnchorItems, AnchorSet, AnchorSets, NewAnchors, Owed
from api.audit import AuditPage
from api.channels import ChannelOut, ChannelsOut, NewChannel
from api.comparisons import ComparisonOut, ComparisonPage, NewComparison
from api.estimates import EstimatesOut
from api.labels import AgreementOut, Kept, LabelsOut
from api.quality import QualityOut
from api.reviews import Answer, Answered, NewReviews, NextOut, Put, QueueOut
from api.scores import NewScores, ScoresOut, Stored
from core.money import from_decimal
from tests.conftest import Server


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (schema.RequestOut, examples.REQUEST),
        (schema.RequestPage, examples.REQUESTS),
        (schema.CostOut, examples.COST),
        (schema.TraceOut, examples.TRACE),
        (schema.AttributionOut, examples.ATTRIBUTION),
        (schema.KeyOut, examples.KEY),
        (schema.MadeKey, examples.MADE_KEY),
        (schema.Settled, examples.SETTLED),
        (AuditPage, examples.AUDIT),
        (NewScores, examples.NEW_SCORES),
        (Stored, examples.STORED),
        (ScoresOut, examples.SCORES),
        (QualityOut, examples.QUALITY),
        (EstimatesOut, examples.ESTIMATES),
        (NewReviews, examples.NEW_REVIEWS),
        (Put, examples.PUT),
        (QueueOut, examples.QUEUE),
        (NextOut, examples.NEXT),
        (Answer, examples.ANSWER),
        (Answered, examples.ANSWERED),
        (LabelsOut, examples.LABELS),
        (Kept, examples.STORED),
        (AgreementOut, examples.AGREEMENT),
        (NewComparison, examples.NEW_COMPARISON),
        (ComparisonOut, examples.COMPARISON),
        (ComparisonPage, examples.COMPARISONS),
        (TermsBody, drift_examples.TERMS),
        (StreamsOut, drift_examples.STREAMS),
        (AlertPage, drift_examples.ALERTS),
        (AlertOut, drift_examples.ALERT),
        (NewAnchors, drift_examples.NEW_ANCHORS),
        (AnchorSet, drift_examples.ANCHOR_SET),
        (AnchorSets, drift_examples.ANCHORS),
        (AnchorItems, drift_examples.ANCHOR_ITEMS),
        (Owed, drift_examples.OWED),
        (NewChannel, drift_examples.NEW_CHANNEL),
        (ChannelOut, drift_examples.CHANNEL),
        (ChannelsOut, drift_examples.CHANNELS),
    ],
)
def test_an_example_is_what_its_model_says(model: type[BaseModel], example: dict[str, Any]) -> None:
    fields = {field.alias or name for name, field in model.model_fields.items()}
    assert fields <= example.keys()
    assert model.model_validate(example)


def test_the_cost_in_the_example_adds_up() -> None:
    amounts = [from_decimal(line["amount"])[0] for line in examples.COST["lines"]]
    assert sum(amounts) == from_decimal(examples.COST["cost"])[0] == 23 * 150_000 + 17 * 600_000


def test_every_answer_that_openapi_describes_has_an_example(server: Server) -> None:
    with server.client() as client:
        document = client.get("/api/openapi.json").json()
    models = document["components"]["schemas"]
    bare = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status in ("200", "201"):
                content = operation["responses"].get(status, {}).get("content", {})
                shown = content.get("application/json", {}).get("schema", {})
                name = (shown.get("$ref") or shown.get("items", {}).get("$ref", "")).rpartition("/")[2]
                if content and "example" not in models.get(name, {}):
                    bare.append(f"{method} {path}")
    assert bare == []
