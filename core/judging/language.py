"""In which language a text is, as far as its letters tell. The same text always gets the same answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

# What the detector tells apart, by ISO 639 code.
_CODES = """
ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa
fi fo fr fuv fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka
kab kik kk km kn ko ku ky la lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no nso oc om
or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr st sv sw ta te tg th tk tl tr tt ug uk
ur uz uzs vec vi vo wa wuu xh yo yue zh zu
"""
LANGUAGES = frozenset(_CODES.split())
LETTERS_MIN = 12
_LOOKED_AT = 5000
_NO_LANGUAGE = re.compile(r"```.*?```|https?://\S+|`[^`\n]*`", re.DOTALL)


def languages_of(text: str) -> Mapping[str, float]:
    """The probability of each language, likeliest first; empty where the text has too few letters to tell.

    Code in fences and addresses are left out; the first 5,000 characters are looked at.
    """
    plain = _NO_LANGUAGE.sub(" ", text[: _LOOKED_AT * 4])[:_LOOKED_AT]
    letters = sum(character.isalpha() for character in plain)
    # a sign of these scripts is a syllable or a word
    dense = sum("\u3040" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7a3" for character in plain)
    if letters + 2 * dense < LETTERS_MIN:
        return {}
    return {str(name): float(chance) for name, chance in _detector().rank(plain)}


@cache
def _detector() -> Any:
    """About a second and 100 MB, once a process that scores languages, and nothing in the others."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
