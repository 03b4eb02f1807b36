"""How another command on this machine finds a running `tripoint up` and its database."""

from __future__ import annotations

import json
from pathlib import Path

from core.errors import SetupError
from supervisor import postgres
from supervisor.folder import LONGEST_SOCKET_NAME, in_words, look_at


def owner_url_of(data: Path) -> str:
    """The owner's URL of the embedded database that runs on `data`; a SetupError where none does."""
    with in_words(data):
        folder = look_at(data)
        if (folder.sockets / LONGEST_SOCKET_NAME).exists():
            return postgres.owner_url(folder)
    raise SetupError(
        f"No database runs on the data folder {folder.data}; start it with `tripoint up`, "
        "choose its folder with --data, or set TRIPOINT_DATABASE_URL."
    )


def url_of(data: Path) -> str | None:
    """Where the `tripoint up` on `data` answers; None where none runs or none has said so yet."""
    try:
        known = json.loads((look_at(data).data / "lock").read_text())
    except (OSError, ValueError):
        return None
    url: str | None = known.get("url")
    return url
