"""Whatever the API's own description allows, and much that it forbids, is answered without a failure."""

from __future__ import annotations

import contextlib

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi
from sqlalchemy import Engine

from tests.conftest import Server, make_project

CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi.response_schema_conformance,
    openapi.content_type_conformance,
    openapi.status_code_conformance,
]


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "least"), [(GenerationMode.POSITIVE, 9), (GenerationMode.NEGATIVE, 4)])
def test_no_call_fails(server: Server, owner: Engine, mode: GenerationMode, least: int) -> None:
    headers = make_project(owner).ruling()
    schema = schemathesis.openapi.from_url(f"{server.url}/api/openapi.json")
    called = set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def call(case: schemathesis.Case) -> None:
            answer = case.call(headers=headers)
            called.add(f"{case.method} {case.path}")
            case.validate_response(answer, checks=CHECKS)
            if answer.status_code >= 400:
                assert len(answer.json()["detail"]) > 5

        # An operation may have nothing that can be wrong.
        with contextlib.suppress(Unsatisfiable):
            call()
    assert len(called) >= least, called
