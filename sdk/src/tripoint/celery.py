"""For Celery without OpenTelemetry's instrumentation of it: what was said where a task was sent holds where it runs."""

from __future__ import annotations

from typing import Any

from tripoint._log import harmless
from tripoint._propagate import extract, inject

_HEADERS = "tripoint"
_running: dict[str, extract] = {}


def propagate() -> None:
    """Call once in the sender and in the worker (the module of the Celery app is both). Words and trace then go
    along in the message's headers."""
    from celery import signals

    signals.before_task_publish.connect(_sent, weak=False, dispatch_uid="tripoint")
    signals.task_prerun.connect(_begins, weak=False, dispatch_uid="tripoint")
    signals.task_postrun.connect(_ends, weak=False, dispatch_uid="tripoint")


@harmless
def _sent(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None:
        headers[_HEADERS] = inject({})


@harmless
def _begins(task_id: str = "", task: Any = None, **_: Any) -> None:
    headers = getattr(task.request, _HEADERS, None) or (task.request.headers or {}).get(_HEADERS)
    if isinstance(headers, dict):
        _running[task_id] = extract(headers).__enter__()


@harmless
def _ends(task_id: str = "", **_: Any) -> None:
    block = _running.pop(task_id, None)
    if block is not None:
        block.__exit__(None, None, None)
