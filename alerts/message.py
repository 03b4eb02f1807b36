"""An alert as a message: JSON for programs, words for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.store.deliveries import Owed


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent about an alert; `json` is the body of a webhook."""

    subject: str
    text: str
    json: Mapping[str, Any]


def message_of(owed: Owed, base_url: str | None) -> Message:
    """The message; it leads to the alert's page where the address of the pages is known."""
    alert, body = owed.alert, owed.alert["body"]
    link = f"{base_url.rstrip('/')}/alerts/{alert['id']}" if base_url else None
    change, watch = body.get("change") or {}, body.get("watch") or {}
    over = owed.event == "resolved"
    lines = [
        f"Resolved by {alert['resolved_by']}." if over and alert.get("resolved_by") else "",
        str(body.get("sentence") or alert["title"]),
        f"Project: {owed.project}",
        f"See it: {link}" if link else "",
    ]
    return Message(
        subject=_one_line(f"[Tripoint] {'Resolved: ' if over else ''}{alert['title']}"),
        text="\n\n".join(filter(None, lines)) + "\n",
        json={
            "event": owed.event,
            "delivery": owed.id,
            "project": owed.project,
            "alert": {
                "id": alert["id"],
                "kind": alert["kind"],
                "severity": alert["severity"],
                "state": alert["state"],
                "title": alert["title"],
                "verdict": alert["verdict"],
                "sentence": body.get("sentence"),
                "opened_at": alert["opened_at"],
                "feature": watch.get("feature"),
                "tier": watch.get("tier"),
                "model": watch.get("model"),
                "score": watch.get("score_name"),
                "effect": change.get("effect"),
                "effect_low": change.get("effect_low"),
                "effect_high": change.get("effect_high"),
                "changed_at": change.get("at"),
                "url": link,
            },
        },
    )


def _one_line(text: str) -> str:
    """A header holds no line breaks."""
    return " ".join(text.split())[:200]
