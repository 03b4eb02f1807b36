"""How a judge is called: one method, over OpenAI's chat completions or Anthropic's messages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from core.judging.judge import KEY_PREFIX, PUBLIC_URLS, Judge
from core.judging.prompt import Prompt
from core.usage import UNKNOWN, Usage

URL_PREFIX = "TRIPOINT_JUDGE_URL_"
_REPLY_MAX_BYTES = 1024 * 1024
_RETRY_AFTER_MAX_S = 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a judge said, and what its server says of it. Times are nanoseconds (`started_ns` Unix time)."""

    text: str
    usage: Usage
    response_model: str | None
    response_id: str | None
    finish_reason: str | None
    started_ns: int
    duration_ns: int


class CallError(Exception):
    """A call that brought no answer: in short why, what its server answered, and whether it may still be charged."""

    def __init__(
        self,
        reason: str,
        *,
        started_ns: int,
        duration_ns: int,
        status: int | None = None,
        retry: bool = True,
        retry_after_s: float | None = None,
        may_be_charged: bool = False,
        error_type: str = "error",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.started_ns = started_ns
        self.duration_ns = duration_ns
        self.status = status
        self.retry = retry
        self.retry_after_s = retry_after_s
        self.may_be_charged = may_be_charged
        self.error_type = error_type


class Model(Protocol):
    """The seam: whatever answers a prompt for a judge."""

    def answer(self, judge: Judge, prompt: Prompt) -> Answer:
        """The judge's answer, or `CallError`."""


class NoKeyError(Exception):
    """The judge's key is not set where this worker runs, or may not be sent to its address."""


def key_of(judge: Judge, environment: Mapping[str, str]) -> str | None:
    """The judge's key. It goes to the public address of its kind, or to the one that the operator wrote beside it: a
    project's administrator must not be able to send the operator's key to an address of his own."""
    if judge.key_variable is None:
        return None
    key = environment.get(judge.key_variable, "").strip()
    if not key:
        raise NoKeyError(f"{judge.key_variable} is not set in the worker's environment")
    beside = URL_PREFIX + judge.key_variable.removeprefix(KEY_PREFIX)
    allowed = environment.get(beside, "").strip().rstrip("/") or PUBLIC_URLS[judge.kind]
    if not _within(judge.base_url, allowed):
        raise NoKeyError(
            f"{judge.key_variable} may not be sent to {judge.base_url}: set {beside} to allow it"
        )
    return key


def _within(url: str, allowed: str) -> bool:
    one, other = urlsplit(url), urlsplit(allowed)
    return (one.scheme, one.netloc.lower()) == (other.scheme, other.netloc.lower())


class HttpModel:
    """Judges over HTTP; keeps connections open, safe to share between threads. `environment` holds the keys."""

    def __init__(
        self,
        environment: Mapping[str, str],
        allowed_urls: tuple[str, ...] = (),
        clock_ns: Callable[[], int] = time.time_ns,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._environment = environment
        self._allowed = allowed_urls
        self._clock_ns = clock_ns
        # No redirects: a key shall not follow one.
        self._client = httpx.Client(
            transport=transport,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=128, max_keepalive_connections=64),
        )
        # Servers that refused a schema, so that the next call does not try again.
        self._plain: set[tuple[str, str]] = set()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def answer(self, judge: Judge, prompt: Prompt) -> Answer:
        """See `Model`."""
        started = self._clock_ns()
        if self._allowed and not any(_within(judge.base_url, one) for one in self._allowed):
            raise CallError(
                f"TRIPOINT_JUDGE_URLS does not allow {judge.base_url}",
                started_ns=started, duration_ns=0, retry=False, error_type="not_allowed",
            )  # fmt: skip
        try:
            key = key_of(judge, self._environment)
        except NoKeyError as error:
            raise CallError(
                str(error), started_ns=started, duration_ns=0, retry_after_s=60.0, error_type="no_key"
            ) from None
        structured = judge.structured and (judge.base_url, judge.model) not in self._plain
        path, headers, body = _WIRES[judge.kind](judge, prompt, key, structured)
        status, reply, reply_headers = self._post(judge, path, headers, body, started)
        took = self._clock_ns() - started
        if status == 400 and structured and _refuses_schema(reply):
            self._plain.add((judge.base_url, judge.model))
            return self.answer(judge, prompt)
        if status != 200:
            raise CallError(
                f"HTTP {status}: {_said(reply)}",
                started_ns=started,
                duration_ns=took,
                status=status,
                retry=status in (408, 409, 425, 429) or status >= 500,
                retry_after_s=_retry_after_s(reply_headers, started),
                error_type=str(status),
            )
        return _read(judge, reply, started, took)

    def _post(
        self, judge: Judge, path: str, headers: dict[str, str], body: dict[str, Any], started: int
    ) -> tuple[int, bytes, httpx.Headers]:
        timeout = httpx.Timeout(judge.timeout_s, connect=min(10.0, judge.timeout_s))
        deadline = time.monotonic() + judge.timeout_s
        try:
            with self._client.stream(
                "POST", judge.base_url + path, headers=headers, json=body, timeout=timeout
            ) as response:
                reply = bytearray()
                for part in response.iter_bytes():
                    reply += part
                    if len(reply) > _REPLY_MAX_BYTES:
                        raise self._failed("its reply is larger than a mebibyte", started, "too_large", True)
                    if time.monotonic() > deadline:
                        raise self._failed("it took too long", started, "timeout", True)
                return response.status_code, bytes(reply), response.headers
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise self._failed(f"it cannot be reached: {error}", started, "unreachable", False) from error
        except httpx.TimeoutException as error:
            raise self._failed("it took too long", started, "timeout", True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._failed(f"the connection broke: {error}", started, "broken", True) from error

    def _failed(self, reason: str, started: int, error_type: str, may_be_charged: bool) -> CallError:
        return CallError(
            reason,
            started_ns=started,
            duration_ns=self._clock_ns() - started,
            may_be_charged=may_be_charged,
            error_type=error_type,
        )


def _openai(
    judge: Judge, prompt: Prompt, key: str | None, structured: bool
) -> tuple[str, dict[str, str], dict[str, Any]]:
    # OpenAI's newer models know only the longer name, other servers only the shorter one.
    own = _within(judge.base_url, PUBLIC_URLS["openai"])
    body: dict[str, Any] = {
        "model": judge.model,
        "messages": [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": prompt.user},
        ],
        "max_completion_tokens" if own else "max_tokens": judge.max_output_tokens,
    }
    if judge.temperature is not None:
        body["temperature"] = judge.temperature
    if structured:
        schema = {"name": "verdict", "strict": True, "schema": prompt.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return "/chat/completions", {"authorization": f"Bearer {key}"} if key else {}, body


def _anthropic(
    judge: Judge, prompt: Prompt, key: str | None, structured: bool
) -> tuple[str, dict[str, str], dict[str, Any]]:
    body: dict[str, Any] = {
        "model": judge.model,
        "system": prompt.system,
        "messages": [{"role": "user", "content": prompt.user}],
        "max_tokens": judge.max_output_tokens,
    }
    if judge.temperature is not None:
        body["temperature"] = judge.temperature
    if structured:
        body["output_config"] = {"format": {"type": "json_schema", "schema": prompt.schema}}
    headers = {"anthropic-version": "2023-06-01"} | ({"x-api-key": key} if key else {})
    return "/messages", headers, body


_WIRES = {"openai": _openai, "anthropic": _anthropic}


def _read(judge: Judge, reply: bytes, started: int, took: int) -> Answer:
    try:
        value = json.loads(reply)
        if judge.kind == "openai":
            choice = value["choices"][0]
            text, finish = choice["message"].get("content") or "", choice.get("finish_reason")
        else:
            text = "".join(part.get("text", "") for part in value["content"] if part.get("type") == "text")
            finish = value.get("stop_reason")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise CallError(
            "its reply is not what its kind of server answers",
            started_ns=started, duration_ns=took, status=200, may_be_charged=True, error_type="not_its_wire",
        ) from error  # fmt: skip
    return Answer(
        text=text if isinstance(text, str) else json.dumps(text),
        usage=_usage(judge, value.get("usage")),
        response_model=_text(value.get("model")),
        response_id=_text(value.get("id")),
        finish_reason=_text(finish),
        started_ns=started,
        duration_ns=took,
    )


def _usage(judge: Judge, given: Any) -> Usage:
    """Tokens by exclusive classes; unknown where the server does not say."""
    if not isinstance(given, dict):
        return UNKNOWN
    raw = {name: value for name, value in given.items() if isinstance(value, int) and value >= 0}
    if judge.kind == "anthropic":
        return Usage(
            uncached_input=raw.get("input_tokens"),
            cache_read=raw.get("cache_read_input_tokens"),
            cache_write_5m=raw.get("cache_creation_input_tokens"),
            visible_output=raw.get("output_tokens"),
            reading="exclusive",
            raw=raw,
        )
    total, output = raw.get("prompt_tokens"), raw.get("completion_tokens")
    cached = _detail(given, "prompt_tokens_details", "cached_tokens")
    reasoning = _detail(given, "completion_tokens_details", "reasoning_tokens")
    return Usage(
        uncached_input=None if total is None else total - min(cached or 0, total),
        cache_read=None if total is None or cached is None else min(cached, total),
        visible_output=None if output is None else output - min(reasoning or 0, output),
        reasoning=None if output is None or reasoning is None else min(reasoning, output),
        reading="inclusive",
        raw=raw,
    )


def _detail(given: dict[str, Any], group: str, name: str) -> int | None:
    value = given.get(group)
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, int) and found >= 0 else None


def _retry_after_s(headers: httpx.Headers, now_ns: int) -> float | None:
    """What the server asks to wait: seconds, or a date (RFC 9110); of milliseconds where it says so more exactly."""
    if (text := headers.get("retry-after-ms")) is not None:
        try:
            return min(max(float(text) / 1000, 0.0), _RETRY_AFTER_MAX_S)
        except ValueError:
            pass
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now_ns / 1e9
        except (TypeError, ValueError):
            return None
    # NaN compares as nothing.
    return min(max(seconds, 0.0), _RETRY_AFTER_MAX_S) if seconds == seconds else None


def _said(reply: bytes) -> str:
    """The server's own words, short."""
    try:
        value = json.loads(reply)
        error = value.get("error", value) if isinstance(value, dict) else value
        words = error.get("message", "") if isinstance(error, dict) else str(error)
    except (ValueError, RecursionError):
        words = reply[:200].decode("utf-8", "replace")
    return " ".join(str(words).split())[:200] or "nothing more"


def _text(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) and value else None


def _refuses_schema(reply: bytes) -> bool:
    """Whether a refusal is about the structured output, which older and smaller servers do not know."""
    words = reply[:4000].lower()
    return any(name in words for name in (b"response_format", b"json_schema", b"output_config", b"schema"))
