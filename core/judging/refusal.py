"""How a refusal is told from an answer: by the words with which models refuse, at the start of a short text."""

from __future__ import annotations

import re
from collections.abc import Sequence

OPENING = 300
SHORT = 1000

# By language. Each stands where a sentence or clause begins, in small letters and with straight apostrophes.
PHRASES: dict[str, tuple[str, ...]] = {
    "en": (
        r"i(?:'m| am)(?: really| very| so)? sorry,? but i (?:can't|cannot|can not|won't|will not"
        r"|am (?:not able|unable) to)",
        r"i(?:'m| am)(?: really| very| so)? sorry[,.]? (?:i )?(?:can't|cannot) (?:help|assist|do"
        r"|provide|comply)",
        r"(?:sorry[,.]? )?(?:but )?i (?:can't|cannot|can not|won't|will not|must decline to"
        r"|have to decline to)"
        r" (?:help|assist|comply|provide|fulfil|fulfill|answer|discuss|create|generate|write|engage"
        r"|support|share|do that)",
        r"i(?:'m| am) (?:not able|unable) to (?:help|assist|comply|provide|fulfil|fulfill|answer"
        r"|discuss|create|generate"
        r"|write|engage|share|do that)",
        r"i(?:'m| am) not (?:comfortable|allowed|permitted) ",
        r"i must (?:respectfully )?(?:decline|refuse)",
        r"as an ai(?: language)?(?: model| assistant)?,? i(?: can't| cannot| am not able|'m not able"
        r"|'m unable| am unable)",
        r"(?:it|this|that) (?:goes|is) against my (?:guidelines|policies|programming)",
    ),
    "de": (
        r"(?:es )?tut mir (?:sehr )?leid,? (?:aber )?(?:dabei |das |hier |da )?(?:kann|darf) ich",
        r"(?:dabei|damit|da|hierbei|bei dieser anfrage) (?:kann|darf) ich (?:ihnen "
        r"|dir )?(?:leider )?nicht (?:helfen|behilflich)",
        r"ich (?:kann|darf) (?:ihnen |dir )?(?:leider )?(?:dabei |damit |diese anfrage |diese frage "
        r"|darauf |das )?(?:leider )?"
        r"nicht (?:helfen|beantworten|antworten|erfüllen|weiterhelfen|tun|bereitstellen)",
        r"ich bin (?:leider )?nicht (?:in der lage|befugt|berechtigt)",
        r"als (?:ki|ki-modell|ki-sprachmodell|sprachmodell|ki-assistent) (?:kann|darf) ich",
        r"(?:diese anfrage|das) muss ich (?:leider )?ablehnen",
    ),
    "fr": (
        r"(?:je suis |je )?(?:désolée?|regrette),? (?:mais )?je ne (?:peux|puis|suis)",
        r"je ne (?:peux|puis) (?:malheureusement )?pas (?:vous |t')?(?:aider|répondre|fournir"
        r"|satisfaire|donner suite|faire cela)",
        r"je ne suis pas (?:en mesure|autorisée?|habilitée?) ",
        r"en tant qu'(?:ia|intelligence artificielle|assistant"
        r"|modèle),? (?:[a-zà-ÿ ]{0,20},? )?je ne (?:peux|puis)",
        r"je dois (?:malheureusement )?(?:refuser|décliner)",
    ),
    "es": (
        r"lo siento,? (?:mucho,? )?(?:pero )?no (?:puedo|me es posible|estoy)",
        r"(?:lamentablemente,? |desafortunadamente,? )?no puedo (?:ayudarte|ayudarle|ayudar"
        r"|proporcionar|responder|cumplir|hacer eso)",
        r"no (?:estoy autorizad[oa]|me está permitido|me es posible) ",
        r"como (?:una )?(?:ia|inteligencia artificial|modelo de lenguaje|asistente de ia),? no puedo",
        r"debo (?:rechazar|negarme)",
    ),
    "it": (
        r"mi dispiace,? (?:ma )?non (?:posso|sono in grado)",
        r"non (?:posso|sono in grado di) (?:aiutarti|aiutarla|fornire|rispondere|soddisfare)",
        r"come (?:ia|intelligenza artificiale|modello linguistico|assistente),? non posso",
    ),
    "pt": (
        r"(?:desculpe|sinto muito|lamento),? (?:mas )?(?:eu )?não (?:posso|consigo)",
        r"(?:eu )?não posso (?:ajudar|fornecer|responder|atender)",
        r"como (?:uma )?(?:ia|inteligência artificial|modelo de linguagem),? (?:eu )?não posso",
    ),
    "nl": (
        r"(?:het )?spijt me,? (?:maar )?(?:daar |dat |hier )?kan ik",
        r"(?:daar|hier) kan ik (?:je |u )?(?:helaas )?niet (?:mee|bij) helpen",
        r"als ai(?:-taalmodel|-model|-assistent)? kan ik",
    ),
}

_START = (
    r"(?:^|[.!?:;,\n]\s*|\b(?:but|unfortunately|leider|aber|mais|malheureusement|pero|ma|mas|helaas),? )(?:"
)
_REFUSES = re.compile(_START + "|".join(one for many in PHRASES.values() for one in many) + ")")
_APOSTROPHES = str.maketrans("’‘ʼ´`", "'''''")


def refusal_in(text: str, more: Sequence[str] = (), short: int = SHORT) -> str | None:
    """The words with which a text of at most `short` characters refuses in its first 300, or None.

    A longer text has said something, whatever it begins with. `more` are phrases of one's own, found anywhere there.
    """
    if len(text) > short:
        return None
    opening = " ".join(text.lstrip(" \n*_#>\"'-").casefold().translate(_APOSTROPHES).split())[:OPENING]
    for phrase in more:
        if " ".join(phrase.casefold().translate(_APOSTROPHES).split()) in opening:
            return phrase
    found = _REFUSES.search(opening)
    return found[0].strip(" .!?:;,") if found else None
