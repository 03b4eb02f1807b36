"""Channels, to which alerts are sent, for programs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Engine

from api import drift_examples as examples
from api.alerts import DeliveryOut
from core.access import Access
from core.channel import NAME_MAX, SECRET_PREFIX, TO_MAX, check_channel
from core.store import deliveries
from core.store.session import tenant


class NewChannel(BaseModel):
    """A webhook (with `url`) or an e-mail (with `to`)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": examples.NEW_CHANNEL})

    name: str = Field(min_length=1, max_length=NAME_MAX)
    kind: Literal["webhook", "email"]
    url: str = Field("", max_length=1000)
    secret_variable: str | None = Field(
        None,
        max_length=100,
        description="the variable of the worker's environment whose value signs the messages; begins with"
        f" {SECRET_PREFIX}",
    )
    to: list[str] = Field([], max_length=TO_MAX)


class ChannelOut(BaseModel):
    """A channel, and what became of the last message to it."""

    model_config = ConfigDict(json_schema_extra={"example": examples.CHANNEL})

    id: int
    name: str
    kind: Literal["webhook", "email"]
    url: str
    secret_variable: str | None
    to: list[str]
    created_at: datetime
    created_by: str
    last: DeliveryOut | None


class ChannelsOut(BaseModel):
    """The channels by name."""

    model_config = ConfigDict(json_schema_extra={"example": examples.CHANNELS})

    items: list[ChannelOut]


def add_channels(
    routes: APIRouter, engine: Engine, clock: Callable[[], datetime], administrator: Any
) -> None:
    """`/channels`, for whom the dependency `administrator` lets in."""

    @routes.get("/channels", response_model=ChannelsOut, summary="Where alerts are sent")
    def list_channels(access: Access = administrator) -> ChannelsOut:
        with tenant(engine, access.project_id) as connection:
            return ChannelsOut(items=_all(connection))

    @routes.post(
        "/channels", response_model=ChannelOut, status_code=201, summary="Send alerts to one more place"
    )
    def add_channel(given: NewChannel, access: Access = administrator) -> ChannelOut:
        wanted = check_channel(given.name, given.kind, given.url, given.secret_variable or "", given.to)
        with tenant(engine, access.project_id) as connection:
            made = deliveries.add_channel(
                connection, access.project_id, wanted.name, wanted.kind, wanted.body, access.who
            )
            return next(one for one in _all(connection) if one.id == made)

    @routes.delete("/channels/{channel_id}", status_code=204, summary="Send nothing more to a channel")
    def remove_channel(
        channel_id: Annotated[int, Path(ge=1, le=2**63 - 1)], access: Access = administrator
    ) -> None:
        with tenant(engine, access.project_id) as connection:
            deliveries.remove_channel(connection, access.project_id, channel_id, access.who, clock())


def _all(connection: Connection) -> list[ChannelOut]:
    last = deliveries.last_of_channels(connection)
    names = DeliveryOut.model_fields
    return [
        ChannelOut(
            id=one.id,
            name=one.name,
            kind=one.kind,
            url=one.body.get("url") or "",
            secret_variable=one.body.get("secret_variable"),
            to=one.body.get("to") or [],
            created_at=one.created_at,
            created_by=one.created_by,
            last=DeliveryOut(**{name: getattr(last[one.id], name) for name in names})
            if one.id in last
            else None,
        )
        for one in deliveries.channels(connection)
    ]
