"""What signing in and the settings share: the store, the door, the clock, and who may come through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import Depends, Request
from sqlalchemy import Engine

from core.access import Access
from core.errors import Forbidden
from core.store.door import Door
from web import session
from web.form import FORM_MAX, Form
from web.vault import Vault


@dataclass(frozen=True, slots=True)
class Parts:
    """Made once a process; `secure` says that pages come over https."""

    engine: Engine
    door: Door
    clock: Callable[[], datetime]
    secure: bool
    vault: Vault

    def reader(self) -> Any:
        """The dependency that lets in whoever is signed in."""

        def reader(request: Request) -> Access:
            return session.reader(self.door, request, self.secure)

        return Depends(reader)

    def administrator(self) -> Any:
        """The dependency that lets in administrators."""

        def administrator(request: Request) -> Access:
            access = session.reader(self.door, request, self.secure)
            if not access.may_administer():
                raise Forbidden("Only administrators of this project may do this. Ask one of them.")
            return access

        return Depends(administrator)

    def posted(self, most: int = FORM_MAX) -> Any:
        """The dependency that reads a form of at most `most` bytes, and refuses one that was not sent from a page of
        this session."""

        async def posted(request: Request) -> Form:
            return await session.posted(request, self.secure, most)

        return Depends(posted)
