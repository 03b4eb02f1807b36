"""Locks between processes: one at a time for one thing, and nobody waits for another thing."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from core.store import settling
from core.store.locks import Lock, take, wait_for
from core.store.reviews import next_review
from core.store.session import in_every_project, tenant
from tests.conftest import Project
from tests.store.rows import NOON


@pytest.mark.parametrize("held", Lock)
def test_a_lock_stops_the_same_thing_for_the_same_project_alone(
    engine: Engine, project: Project, other_project: Project, held: Lock
) -> None:
    with tenant(engine, project.id) as ours, tenant(engine, other_project.id) as theirs:
        wait_for(ours, held, project.id)
        assert [other for other in Lock if not take(theirs, other, project.id)] == [held]
        assert take(theirs, held, other_project.id)


def test_whoever_takes_an_item_to_label_holds_up_no_settling(engine: Engine, project: Project) -> None:
    with tenant(engine, project.id) as reviewer, tenant(engine, project.id) as worker:
        next_review(reviewer, project.id, "ada", NOON)
        assert settling.lock(worker, project.id, wait=False)


def test_what_fails_in_one_project_is_told_and_leaves_the_others_alone(
    engine: Engine, project: Project, other_project: Project
) -> None:
    told: list[int] = []

    def work(number: int) -> int:
        if number == project.id:
            raise RuntimeError("no luck")
        return int(number == other_project.id)

    assert in_every_project(engine, work, lambda project: told.append(project)) == 1
    assert told == [project.id]
