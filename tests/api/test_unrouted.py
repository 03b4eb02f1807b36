"""What no room has is said in the asker's own form."""

from __future__ import annotations

import httpx


def test_an_unknown_path_is_a_sentence_for_programs_and_a_page_for_people(client: httpx.Client) -> None:
    program = client.get("/api/v1/nope")
    assert program.status_code == 404
    assert program.json() == {
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at /api/v1/nope for GET.",
    }
    person = client.get("/nope", headers={"accept": "text/html"})
    assert person.status_code == 404 and "<h1>" in person.text and "There is nothing at /nope" in person.text


def test_a_wrong_method_names_the_right_ones(client: httpx.Client) -> None:
    answer = client.get("/v1/traces")
    assert answer.status_code == 405
    assert answer.json()["status"] == 405
    assert answer.headers["allow"] == "POST"
