"""The audit log for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from api import examples
from core.access import Access
from core.errors import BadQuestion
from core.store import audit
from core.store.session import tenant


class EntryOut(BaseModel):
    """One thing that somebody did."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    details: dict[str, Any]


class AuditPage(BaseModel):
    """Entries, newest first, and the cursor of the older ones."""

    model_config = ConfigDict(json_schema_extra={"example": examples.AUDIT})

    items: list[EntryOut]
    next: str | None


def add_audit(routes: APIRouter, engine: Engine, administrator: Any) -> None:
    """`GET /audit`, for whom the dependency `administrator` lets in."""

    @routes.get("/audit", response_model=AuditPage, summary="What was changed by whom, newest first")
    def list_audit(
        access: Access = administrator,
        limit: Annotated[int, Query(description="items at the most, 1 to 1000")] = 50,
        cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
    ) -> AuditPage:
        if not 1 <= limit <= 1000:
            raise BadQuestion("limit must be between 1 and 1000.")
        with tenant(engine, access.project_id) as connection:
            page = audit.entries(connection, cursor, limit)
        items = [
            EntryOut(
                id=one.id,
                at=one.at,
                actor=one.actor,
                action=one.action,
                target=one.target,
                details=one.details,
            )
            for one in page.items
        ]
        return AuditPage(items=items, next=page.next)
