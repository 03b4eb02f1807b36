"""Marks around texts that are judged, which nothing inside a text can forge."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from itertools import count

# Characters that show nothing and steer what reads them: controls, directions, tags, invisible signs. What joins and
# varies letters and emoji (U+200C, U+200D, U+FE00 to U+FE0F) stays.
_UNSEEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_BRACKETS = str.maketrans("⟦⟧〚〛", "[][]")
# What servers of open models may read as the start of another speaker's turn, such as <|im_start|>, [INST] or </s>.
_ROLES = re.compile(
    r"<(?=[|｜])|<(?=/?(?:s|pad|unk|bos|eos|start_of_turn|end_of_turn|eot|eom)>)|<(?=</?SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])",
    re.IGNORECASE,
)


def harmless(text: str) -> str:
    """The same to a reader, without unseen characters (each a �), our brackets, and tokens that name a role."""
    text = _UNSEEN.sub("\ufffd", text.replace("\r\n", "\n"))
    return _ROLES.sub(lambda found: found[0] + " ", text.translate(_BRACKETS))


def nonce(mark: str, texts: Sequence[str]) -> str:
    """Sixteen hex digits that go by `mark` alone and stand in none of the texts."""
    for turn in count():
        found = hashlib.sha256(f"{mark}\n{turn}".encode("utf-8", "replace")).hexdigest()[:16]
        if not any(found in text.lower() for text in texts):
            return found
    raise AssertionError("unreachable")


def block(name: str, text: str, at: str) -> str:
    """A harmless text between its marks."""
    return f"⟦BEGIN {name} {at}⟧\n{text}\n⟦END {name} {at}⟧"
