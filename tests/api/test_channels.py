"""Channels over the API: made, listed with what became of their last message, removed; nonsense refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.conftest import Project

HOOK = {"name": "on call", "kind": "webhook", "url": "https://hooks.example.com/x"}


def make(client: httpx.Client, project: Project, **fields: Any) -> httpx.Response:
    return client.post("/api/v1/channels", json=HOOK | fields, headers=project.ruling())


def test_channels_are_made_listed_and_removed(
    client: httpx.Client, project: Project, other_project: Project
) -> None:
    made = make(client, project, secret_variable="TRIPOINT_WEBHOOK_SECRET_A").raise_for_status().json()
    mail = {"name": "mail", "kind": "email", "to": ["a@example.com", "b@example.com"], "url": ""}
    make(client, project, **mail).raise_for_status()
    listed = client.get("/api/v1/channels", headers=project.ruling()).json()["items"]
    assert [one["name"] for one in listed] == ["mail", "on call"] and listed[1] == made
    assert listed[0]["to"] == mail["to"] and made["last"] is None
    assert "already" in make(client, project).json()["detail"]
    path = f"/api/v1/channels/{made['id']}"
    assert client.delete(path, headers=other_project.ruling()).status_code == 404
    assert client.get("/api/v1/channels", headers=project.reading()).status_code == 403
    assert client.delete(path, headers=project.ruling()).status_code == 204
    assert client.delete(path, headers=project.ruling()).status_code == 404
    assert make(client, project).status_code == 201


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "ftp://a.example"}, "url is such as"),
        ({"url": "https://ann:secret@a.example"}, "url is such as"),
        ({"url": "https://a.example/ü"}, "url is such as"),
        ({"url": "https://a.example/\r\nHost: b"}, "url is such as"),
        ({"url": "https://[::1"}, "url is such as"),
        ({"url": "https://a.example:99999"}, "url is such as"),
        ({"secret_variable": "TRIPOINT_SMTP_PASSWORD"}, "begins with TRIPOINT_WEBHOOK_SECRET_"),
        ({"to": ["a@example.com"]}, "A webhook has a url"),
        ({"kind": "email", "url": "", "to": []}, "1 to 20"),
        ({"kind": "email", "url": "", "to": ["a@example.com\nBcc: b@example.com"]}, "not an e-mail address"),
        ({"kind": "email", "url": "", "to": ["a@b, c@d"]}, "not an e-mail address"),
        ({"kind": "email", "to": ["a@example.com"]}, "An e-mail has only to"),
        ({"name": "a\nb"}, "name says"),
        ({"kind": "pigeon"}, "webhook"),
    ],
)
def test_what_cannot_be_a_channel_is_told_why(
    client: httpx.Client, project: Project, fields: dict[str, Any], words: str
) -> None:
    answer = make(client, project, **fields)
    assert answer.status_code == 400 and words in answer.json()["detail"], answer.text


def test_there_are_twenty_at_most(client: httpx.Client, project: Project) -> None:
    for at in range(20):
        assert make(client, project, name=f"channel {at}").status_code == 201
    assert "20 channels at most" in make(client, project, name="one more").json()["detail"]
