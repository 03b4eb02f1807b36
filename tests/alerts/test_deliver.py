"""Messages about alerts: signed, sent once, tried again for a while, and never to where they may not go."""

from __future__ import annotations

import email
import email.policy
import hashlib
import hmac
import json
import shutil
import ssl
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from alerts import webhook
from alerts.address import is_public, target_of
from alerts.deliver import Post, deliver_all, deliver_project, wait_after
from alerts.mail import Mail
from alerts.message import Message
from alerts.webhook import Undelivered
from core.errors import BadInput
from core.store import alerts, audit, deliveries
from core.store.session import tenant
from tests.alerts.servers import mail_server, web_server
from tests.conftest import Project

NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
MESSAGE = Message("subject", "text", {"event": "opened"})
VARIABLE = "TRIPOINT_WEBHOOK_SECRET_TEST"
POST = Post(
    base_url="https://tripoint.example.com/",
    private_webhooks=True,
    environment={VARIABLE: "a long secret"},
    timeout_s=5,
)
FOUND = alerts.Found(
    "watch 1",
    "page",
    "answer.helpful of chat fell\nfrom 0.81 to 0.58",
    "system",
    {
        "sentence": "The system changed: “chat” fell by 0.23.",
        "watch": {"feature": "chat"},
        "change": {"effect": -0.23},
    },
)


def opened(engine: Engine, project: Project, kind: str, **body: Any) -> int:
    """An alert of a project with one channel."""
    with tenant(engine, project.id) as connection:
        deliveries.add_channel(connection, project.id, "on call", kind, body, "ann")  # type: ignore[arg-type]
        number = alerts.open_alert(connection, project.id, FOUND, NOW)
    assert number
    return number


def hook(port: int, secret: str | None = VARIABLE) -> dict[str, Any]:
    return {"url": f"http://127.0.0.1:{port}/hook?team=a", "secret_variable": secret}


def states(engine: Engine, project: Project, alert: int) -> list[deliveries.Delivery]:
    with tenant(engine, project.id) as connection:
        return deliveries.of_alert(connection, alert)


def test_a_webhook_is_signed_and_called_once(engine: Engine, project: Project) -> None:
    with web_server() as received:
        alert = opened(engine, project, "webhook", **hook(received.port))
        assert deliver_project(engine, project.id, POST, NOW) == 1
        assert deliver_project(engine, project.id, POST, NOW + timedelta(days=1)) == 0
    ((path, headers, body),) = received.requests
    assert path == "/hook?team=a" and headers["host"] == f"127.0.0.1:{received.port}"
    stamp = headers["tripoint-timestamp"]
    expected = hmac.new(b"a long secret", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["tripoint-signature"] == f"sha256={expected}" and int(stamp) == NOW.timestamp()
    said = json.loads(body)
    assert said["alert"]["url"] == f"https://tripoint.example.com/alerts/{alert}"
    assert said["alert"]["sentence"] == FOUND.body["sentence"] and said["alert"]["effect"] == -0.23
    (one,) = states(engine, project, alert)
    assert (one.state, one.attempts, one.last_error, one.sent_at) == ("sent", 1, None, NOW)
    assert headers["tripoint-delivery"] == str(one.id)


def test_a_failure_is_tried_again_twice_as_late_each_time(engine: Engine, project: Project) -> None:
    with web_server(503, 429, 204) as received:
        alert = opened(engine, project, "webhook", **hook(received.port))
        for at, minutes in enumerate((0, 1, 3)):
            now = NOW + timedelta(minutes=minutes)
            assert deliver_project(engine, project.id, POST, now - timedelta(seconds=1)) == 0
            assert deliver_project(engine, project.id, POST, now) == (at == 2)
            (one,) = states(engine, project, alert)
            assert one.attempts == at + 1 == len(received.requests)
            if at == 0:
                assert (one.state, one.last_error) == ("waiting", "HTTP 503: some word")
    assert one.state == "sent" and len({body for _, _, body in received.requests}) == 1


def test_it_is_given_up_after_eight_attempts_with_the_last_error(engine: Engine, project: Project) -> None:
    with web_server(500) as received:
        alert = opened(engine, project, "webhook", **hook(received.port))
        for at in range(12):
            deliver_project(engine, project.id, POST, NOW + timedelta(hours=5 * at))
    (one,) = states(engine, project, alert)
    assert len(received.requests) == 8 == one.attempts
    assert (one.state, one.last_error, one.sent_at) == ("failed", "HTTP 500: some word", None)
    assert sum((wait_after(at) for at in range(1, 8)), timedelta()) == timedelta(minutes=127)


@pytest.mark.parametrize(("status", "location"), [(400, None), (404, None), (307, "http://127.0.0.1:1/")])
def test_a_refusal_is_final_and_a_redirect_is_not_followed(
    engine: Engine, project: Project, status: int, location: str | None
) -> None:
    with web_server(status) as received:
        received.location = location
        alert = opened(engine, project, "webhook", **hook(received.port))
        deliver_project(engine, project.id, POST, NOW)
        deliver_project(engine, project.id, POST, NOW + timedelta(days=1))
    (one,) = states(engine, project, alert)
    assert len(received.requests) == 1 and one.state == "failed"
    assert one.last_error == f"HTTP {status}: some word"


def test_nobody_answers_and_no_secret_are_said(engine: Engine, project: Project) -> None:
    with web_server() as received:
        port = received.port
    alert = opened(engine, project, "webhook", **hook(port))
    deliver_project(engine, project.id, POST, NOW)
    assert "ConnectError" in (states(engine, project, alert)[0].last_error or "")
    deliver_project(engine, project.id, replace(POST, environment={}), NOW + timedelta(minutes=1))
    (one,) = states(engine, project, alert)
    assert (
        one.last_error
        == f"{VARIABLE} is not set in the worker's environment, so the message cannot be signed."
    )


def test_two_workers_send_a_message_once_and_a_dead_ones_lease_runs_out(
    engine: Engine, project: Project
) -> None:
    with web_server() as received:
        opened(engine, project, "webhook", **hook(received.port))
        with tenant(engine, project.id) as connection:
            assert len(deliveries.claim(connection, NOW, timedelta(minutes=5), 10)) == 1
        # The first claimed it and died before it sent.
        assert deliver_project(engine, project.id, POST, NOW + timedelta(minutes=4)) == 0
        assert deliver_project(engine, project.id, POST, NOW + timedelta(minutes=6)) == 1
        assert len(received.requests) == 1


def test_a_webhook_leads_into_no_private_network(engine: Engine, project: Project) -> None:
    with web_server() as received:
        alert = opened(engine, project, "webhook", **hook(received.port))
        assert deliver_all(engine, replace(POST, private_webhooks=False), NOW) == 0
        assert received.requests == []
    (one,) = states(engine, project, alert)
    assert "127.0.0.1, which is not on the public internet" in (one.last_error or "")
    assert "TRIPOINT_PRIVATE_WEBHOOKS" in (one.last_error or "")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "ff02::1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "198.18.0.1", "240.0.0.1",
    ],
)  # fmt: skip
def test_what_is_not_on_the_public_internet_is_known(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(BadInput, match="not on the public internet"):
        target_of("https://a.example", private=False, lookup=lambda host, port: ["93.184.215.14", address])


def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    """A name that leads elsewhere a moment later changes nothing: it is looked up once."""
    answers = [["93.184.215.14"], ["127.0.0.1"]]
    target = target_of(
        "https://a.example:8443/x?y=1", private=False, lookup=lambda host, port: answers.pop(0)
    )
    assert (target.url, target.host) == ("https://93.184.215.14:8443/x?y=1", "a.example")
    assert target.header == "a.example:8443" and len(answers) == 1
    six = target_of("https://a.example/", private=False, lookup=lambda host, port: ["2606:4700::1111"])
    assert six.url == "https://[2606:4700::1111]:443/" and six.header == "a.example"


def test_the_host_is_named_to_the_server_though_its_address_is_called(
    engine: Engine, project: Project
) -> None:
    with web_server() as received:
        opened(engine, project, "webhook", url=f"http://hooks.example:{received.port}/", secret_variable=None)
        post = replace(POST, lookup=lambda host, port: ["127.0.0.1"])
        assert deliver_project(engine, project.id, post, NOW) == 1
    (_, headers, _) = received.requests[0]
    assert headers["host"] == f"hooks.example:{received.port}" and "tripoint-signature" not in headers


def test_an_email_arrives_with_words_and_a_link(engine: Engine, project: Project) -> None:
    with mail_server() as received:
        alert = opened(engine, project, "email", to=["ann@example.com", "bob@example.com"])
        mail = Mail("127.0.0.1", received.port, "tripoint@example.com", security="none")
        assert deliver_project(engine, project.id, replace(POST, mail=mail), NOW) == 1
        assert deliver_project(engine, project.id, replace(POST, mail=mail), NOW + timedelta(days=1)) == 0
    ((sender, to, words),) = received.letters
    assert (sender, to) == ("tripoint@example.com", ["ann@example.com", "bob@example.com"])
    letter = email.message_from_bytes(words, policy=email.policy.default)
    assert letter["subject"] == "[Tripoint] answer.helpful of chat fell from 0.81 to 0.58"
    content = letter.get_content()
    assert "The system changed: “chat” fell by 0.23." in content
    assert f"https://tripoint.example.com/alerts/{alert}" in content
    (one,) = states(engine, project, alert)
    assert one.state == "sent" and f"delivery-{one.id}@example.com" in letter["message-id"]


def test_one_refused_recipient_does_not_send_it_to_the_others_again(engine: Engine, project: Project) -> None:
    with mail_server(refused="bob") as received:
        alert = opened(engine, project, "email", to=["ann@example.com", "bob@example.com"])
        mail = Mail("127.0.0.1", received.port, "tripoint@example.com", security="none")
        for day in range(3):
            deliver_project(engine, project.id, replace(POST, mail=mail), NOW + timedelta(days=day))
    assert len(received.letters) == 1
    (one,) = states(engine, project, alert)
    assert (one.state, one.last_error) == ("sent", "bob@example.com was refused: 550 nobody here")


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        (None, "TRIPOINT_SMTP_HOST and TRIPOINT_SMTP_FROM are not set"),
        (Mail("127.0.0.1", 1, "a@example.com", security="none"), "Connection refused"),
        (Mail("127.0.0.1", 1, "a@example.com", "ann", "secret", "none"), "password in the clear"),
    ],
)
def test_an_email_that_cannot_be_sent_says_why(
    engine: Engine, project: Project, mail: Mail | None, words: str
) -> None:
    alert = opened(engine, project, "email", to=["ann@example.com"])
    assert deliver_project(engine, project.id, replace(POST, mail=mail), NOW) == 0
    (one,) = states(engine, project, alert)
    assert one.state == "waiting" and words in (one.last_error or "")


def test_a_password_is_never_sent_where_the_server_cannot_encrypt(engine: Engine, project: Project) -> None:
    with mail_server() as received:
        alert = opened(engine, project, "email", to=["ann@example.com"])
        mail = Mail("127.0.0.1", received.port, "a@example.com", "ann", "secret")
        assert deliver_project(engine, project.id, replace(POST, mail=mail), NOW) == 0
    assert received.letters == [] and "STARTTLS" in (states(engine, project, alert)[0].last_error or "")


def test_resolving_is_told_too_and_a_removed_channel_hears_nothing(engine: Engine, project: Project) -> None:
    with web_server() as received:
        alert = opened(engine, project, "webhook", **hook(received.port))
        deliver_project(engine, project.id, POST, NOW)
        with tenant(engine, project.id) as connection:
            alerts.resolve(connection, project.id, alert, "ann", NOW)
        deliver_project(engine, project.id, POST, NOW)
        assert [json.loads(body)["event"] for _, _, body in received.requests] == ["opened", "resolved"]
        with tenant(engine, project.id) as connection:
            (channel,) = deliveries.channels(connection)
            alerts.open_alert(connection, project.id, FOUND, NOW)
            deliveries.remove_channel(connection, project.id, channel.id, "ann", NOW)
            assert deliveries.channels(connection) == []
            assert audit.entries(connection).items[0].action == "channel.remove"
        assert deliver_project(engine, project.id, POST, NOW) == 0
        assert len(received.requests) == 2


def test_no_secret_is_in_the_database(engine: Engine, owner: Engine, project: Project) -> None:
    with web_server() as received:
        opened(engine, project, "webhook", **hook(received.port))
        deliver_project(engine, project.id, POST, NOW)
    with owner.connect() as connection:
        for table in ("channel", "delivery", "alert", "audit"):
            rows = connection.execute(text(f"SELECT t::text FROM {table} t")).scalars()
            assert not any("a long secret" in row for row in rows)


def test_over_https_the_name_must_be_the_certificates_though_the_address_is_called(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed; the certificate of a webhook was not tried.")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = (
        f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hooks.example -keyout {key} -out {certificate}"
    )
    subprocess.run(
        [openssl, *made.split(), "-addext", "subjectAltName=DNS:hooks.example"],
        check=True,
        capture_output=True,
    )
    with web_server(certificate=certificate, key=key) as received:
        known = ssl.create_default_context(cafile=str(certificate))
        for host, arrives in (("hooks.example", True), ("other.example", False)):
            with nullcontext() if arrives else pytest.raises(Undelivered, match="Hostname mismatch"):
                webhook.post(
                    f"https://{host}:{received.port}/", MESSAGE, 1, None, NOW, private=True, timeout_s=5,
                    lookup=lambda host, port: ["127.0.0.1"], context=known,
                )  # fmt: skip
    assert [headers["host"] for _, headers, _ in received.requests] == [f"hooks.example:{received.port}"]
