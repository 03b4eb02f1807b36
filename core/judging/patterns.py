"""Regular expressions that people write, matched in time that grows with the text and no faster (RE2)."""

from __future__ import annotations

from functools import lru_cache

import re2

from core.errors import BadQuestion

LONGEST = 1000


def check_pattern(pattern: str, where: str) -> None:
    """A `BadQuestion` where this is no pattern that RE2 knows."""
    if not 1 <= len(pattern) <= LONGEST:
        raise BadQuestion(f"{where} is a regular expression of 1 to {LONGEST} characters.")
    try:
        _compiled(pattern, False)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise BadQuestion(
            f"{where} is no regular expression of RE2 ({said[:200]}). RE2 has no look-around and no back-references:"
            " use must_not_match, or two patterns."
        ) from None


def found(pattern: str, text: str, ignore_case: bool) -> bool:
    """Whether the pattern, which was checked, stands anywhere in the text."""
    return _compiled(pattern, ignore_case).search(text) is not None


@lru_cache(maxsize=200)
def _compiled(pattern: str, ignore_case: bool) -> re2._Regexp:
    options = re2.Options()
    options.max_mem = 4 << 20
    options.log_errors = False
    options.case_sensitive = not ignore_case
    return re2.compile(pattern, options)
