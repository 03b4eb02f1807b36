"""HTTP to the collector, on the standard library alone: one connection, kept open, and one answer understood."""

from __future__ import annotations

import contextlib
import http.client
import os
import time
from base64 import b64encode
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from tripoint._version import __version__

ANSWER_S = 10.0
_LARGEST_ANSWER = 65_536
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
# The specification's four, and two that proxies give while what is behind them restarts.
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})

_abandoned: list[http.client.HTTPConnection] = []

Verdict = Literal["taken", "again", "refused"]


class Answer(NamedTuple):
    """What became of one body. `key` names the kind of trouble, `sentence` says it and what to do."""

    verdict: Verdict
    key: str = ""
    sentence: str = ""
    after_s: float | None = None
    rejected: int = 0
    nobody_there: bool = False


class Wire:
    """The way to one collector. Not for two threads at once; raises ValueError for an address that is none."""

    def __init__(self, endpoint: str, key: str | None, answer_s: float = ANSWER_S) -> None:
        where = urlsplit(endpoint)
        if where.scheme not in ("http", "https") or not where.hostname:
            raise ValueError(
                f"the endpoint {endpoint!r} is no address; write it like https://tripoint.example.com"
            )
        path = where.path.rstrip("/")
        if not path.endswith("/v1/traces"):
            path += "/v1/traces"
        self.url = f"{where.scheme}://{where.netloc.rpartition('@')[2]}{path}"
        # Packing pays on a network and costs a core's time on one machine.
        self.packs = where.hostname not in _LOCAL
        self._where, self._path, self._answer_s = where, path, answer_s
        self._headers = {
            "Content-Type": "application/x-protobuf",
            "User-Agent": f"tripoint-python/{__version__}",
        }
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
            self._headers["Authorization"].encode("latin-1")
            if "\n" in key or "\r" in key:
                raise ValueError("the key holds a line break")
        self._open: http.client.HTTPConnection | None = None

    def post(self, body: bytes, packed: bool) -> Answer:
        """Send one body; never raises for what the network or the collector does."""
        headers = {**self._headers, "Content-Encoding": "gzip"} if packed else self._headers
        reused = self._open is not None
        try:
            return self._post(body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.forget()
            if not reused or isinstance(error, TimeoutError):
                return self._unreachable(error)
        # A kept connection that the other side closed meanwhile says nothing about the collector.
        try:
            return self._post(body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.forget()
            return self._unreachable(error)

    def forget(self) -> None:
        """Close the connection, if there is one."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def abandon(self) -> None:
        """In a forked child: leave the connection to the parent. Closing it in the usual way could wait for a
        lock that a thread of the parent holds, and no thread here will ever release."""
        left, self._open = self._open, None
        if left is not None:
            _abandoned.append(left)
            if left.sock is not None:
                with contextlib.suppress(OSError):
                    os.close(left.sock.detach())

    def _post(self, body: bytes, headers: dict[str, str]) -> Answer:
        if self._open is None:
            self._open, self._target, self._for_proxy = _connect(self._where, self._path, self._answer_s)
        self._open.request("POST", self._target, body, {**headers, **self._for_proxy})
        answer = self._open.getresponse()
        text = answer.read(_LARGEST_ANSWER)
        if answer.will_close or not answer.isclosed():
            self.forget()
        return self._understood(answer, text)

    def _unreachable(self, error: Exception) -> Answer:
        reason = (
            "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        )
        return Answer(
            "again",
            "unreachable",
            f"{self.url} cannot be reached ({reason}); spans are held and sent later",
            nobody_there=not isinstance(error, TimeoutError),
        )

    def _understood(self, answer: http.client.HTTPResponse, text: bytes) -> Answer:
        status = answer.status
        if status == 200:
            return _partly(text)
        kind = answer.getheader("Content-Type", "")
        says = _words_of(text, kind)
        if status in _AGAIN:
            sentence = f"{self.url} answers {status}{says}; spans are held and sent later"
            return Answer(
                "again", str(status), sentence, _seconds(answer.getheader("Retry-After"), time.time())
            )
        return Answer("refused", str(status), f"{self.url} answers {status}{says}. {self._advice(answer)}")

    def _advice(self, answer: http.client.HTTPResponse) -> str:
        status = answer.status
        if status in (401, 403):
            given = "Authorization" in self._headers
            return (
                "The key is not valid here or may not send: give an ingest key of this Tripoint as key= or in "
                "TRIPOINT_KEY. Spans are lost until then."
                if given
                else "There is no key: pass key= or set TRIPOINT_KEY. Spans are lost until then."
            )
        if 300 <= status < 400:
            return (
                f"It moved to {answer.getheader('Location')}: give that address as endpoint=. Spans are lost."
            )
        if status in (404, 405):
            return "Nothing takes traces there: endpoint= is the address of Tripoint itself. Spans are lost."
        if status == 413:
            return "The body is too large for it or for a proxy before it; these spans are lost."
        return "These spans are lost."


def _partly(text: bytes) -> Answer:
    """200: all taken, or some rejected with a reason."""
    if not text:
        return Answer("taken")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        partial = ExportTraceServiceResponse.FromString(text).partial_success
    except Exception:  # an answer in another encoding is no complaint
        return Answer("taken")
    rejected, reason = partial.rejected_spans, partial.error_message
    if not rejected and not reason:
        return Answer("taken")
    sentence = f"{rejected} spans were not kept: {reason or 'no reason was given'}"
    return Answer("taken", f"partial:{reason}", sentence, rejected=rejected)


def _words_of(text: bytes, kind: str) -> str:
    """The collector's own sentence, in brackets, or nothing."""
    said = ""
    if kind.startswith("application/x-protobuf"):
        # The body is a google.rpc.Status, whose message has the same number as that of a span's status.
        from opentelemetry.proto.trace.v1.trace_pb2 import Status

        try:
            said = Status.FromString(text).message
        except Exception:
            said = ""
    elif "json" in kind or kind.startswith("text/plain"):
        said = text.decode("utf-8", "replace")
    said = " ".join(said.split())[:300]
    return f" ({said})" if said else ""


def _seconds(retry_after: str | None, now: float) -> float | None:
    """Retry-After in seconds or as a date; None where there is none that makes sense."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - now
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), 300.0) if seconds == seconds else None


def _connect(
    where: SplitResult, path: str, timeout: float
) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """A connection, what to ask it for and the headers that a proxy wants of each request. It goes through the
    environment's proxy where there is one for this host."""
    host, secure = where.hostname or "", where.scheme == "https"
    port = where.port or (443 if secure else 80)
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    proxy = _proxy(where)
    if proxy is None:
        return kind(host, port, timeout=timeout), path, {}
    through = kind(proxy.hostname or "", proxy.port or 8080, timeout=timeout)
    if not secure:
        target = where._replace(path=path, netloc=where.netloc.rpartition("@")[2]).geturl()
        return through, target, _login(proxy)
    through.set_tunnel(host, port, _login(proxy))
    return through, path, {}


def _login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    who = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(who.encode()).decode()}"}


def _proxy(where: SplitResult) -> SplitResult | None:
    if where.hostname in _LOCAL or not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies_environment, proxy_bypass

    proxies = getproxies_environment()
    address = proxies.get(where.scheme) or proxies.get("all")
    if not address or proxy_bypass(where.hostname or ""):
        return None
    return urlsplit(address if "://" in address else f"http://{address}")
