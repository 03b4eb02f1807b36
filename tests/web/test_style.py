"""The colours can be told apart, by day and by night (WCAG 2.2: 4.5 for text, 3 for marks and edges)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from web import assets

_STYLE = (Path(assets.__file__).parent / "static" / "style.css").read_text()
_LIGHT, _DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for block in re.findall(r":root \{(.*?)\}", _STYLE, re.DOTALL)
)
TEXT = [
    ("ink", "ground"), ("ink", "raised"), ("ink", "accent-soft"), ("soft", "ground"), ("soft", "raised"),
    ("soft", "accent-soft"), ("accent", "ground"), ("accent", "raised"), ("accent", "accent-soft"),
    ("bad", "raised"), ("bad", "accent-soft"), ("warn-ink", "warn-ground"), ("raised", "accent"),
]  # fmt: skip
MARKS = [
    (name, "raised")
    for name in (
        *(f"c{at}" for at in range(1, 9)),
        *(f"t{at}" for at in range(1, 9)),
        "cost",
        "latency",
        "quality",
        "volume",
        "c-unset",
        "bad",
        "warn",
        "span",
        "edge",
    )
]


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' luminances."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colours", [_LIGHT, _DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("pair", "least"), [(pair, 4.5) for pair in TEXT] + [(pair, 3.0) for pair in MARKS])
def test_colours_stand_apart(colours: dict[str, str], pair: tuple[str, str], least: float) -> None:
    assert contrast(colours[pair[0]], colours[pair[1]]) >= least


def test_every_colour_has_a_form_for_the_night() -> None:
    assert _LIGHT.keys() == _DARK.keys()


def test_every_colour_that_is_used_exists() -> None:
    used = set(re.findall(r"var\(--([\w-]+)", _STYLE)) - set(re.findall(r"[{;]\s*--([\w-]+):", _STYLE))
    assert used <= _LIGHT.keys()
