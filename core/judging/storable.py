"""What no database can hold: a NUL, and half of a character."""

from __future__ import annotations

import json
import re
from typing import Any

from core.errors import BadQuestion

# A NUL as JSON writes it: an odd number of backslashes before it.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_HALF = re.compile("[\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Whether a database can hold this text, so that it may be looked for there."""
    return "\0" not in text and not _HALF.search(text)


def made_storable(text: str) -> str:
    """The text with a � for each NUL and each half of a character."""
    return _HALF.sub("\ufffd", text.replace("\0", "\ufffd"))


def check_storable(value: Any, what: str) -> None:
    """`BadQuestion` where a text anywhere in this plain JSON cannot be stored."""
    written = json.dumps(value, ensure_ascii=False)
    if _NUL.search(written) or _HALF.search(written):
        raise BadQuestion(f"{what} holds a NUL or half a character (a lone surrogate). Take it out.")
