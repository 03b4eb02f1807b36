"""The worker process: Celery with its beat. Tasks open, call one room, store, end."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init, worker_process_init
from sqlalchemy import Engine

import launch
from alerts.deliver import Post, deliver_all
from collector.settle import settle_all
from core.store.partitions import make_ahead
from core.store.prices import Shelf
from core.store.session import open_engine
from judge import anchors, drift, queue
from judge.ask import Desk, ask_all
from judge.models import HttpModel
from judge.sample import sample_all
from settings import Settings
from supervisor.child import die_with_parent

_SETTLE_EVERY_S = 2.0
_PARTITIONS_EVERY_S = 3600.0
_JUDGE_EVERY_S = 2.0
_WATCH_EVERY_S = 6.0
_DELIVER_EVERY_S = 5.0
_UPKEEP_EVERY_S = 300.0

QUEUES = ("settling", "judging")
"""Judges take their time: what they are asked waits in a queue of its own, and holds up no settling."""


def create_worker(settings: Settings) -> Celery:
    """The Celery application on the broker of the settings."""
    broker_url = settings.needed("broker_url")
    app = Celery("tripoint", broker=broker_url)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        timezone="UTC",
        task_default_queue="settling",
        task_routes={"judge.*": {"queue": "judging"}, "alerts.*": {"queue": "judging"}},
        beat_schedule={
            "settle": _every(_SETTLE_EVERY_S, "settle"),
            "partitions": _every(_PARTITIONS_EVERY_S, "partitions"),
            "sample": _every(_JUDGE_EVERY_S, "judge.sample"),
            "ask": _every(_JUDGE_EVERY_S, "judge.ask"),
            "watch": _every(_WATCH_EVERY_S, "judge.watch"),
            "anchors": _every(_UPKEEP_EVERY_S, "judge.anchors"),
            "reviews": _every(_UPKEEP_EVERY_S, "judge.reviews"),
            "deliver": _every(_DELIVER_EVERY_S, "alerts.deliver"),
        },
    )
    if broker_url.startswith(("redis", "rediss", "valkey")):
        # kombu's own sweep is so rare that nothing came back within a minute of a killed worker.
        app.conf.broker_transport_options = {
            "visibility_timeout": 900,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
        }
    return app


def _every(seconds: float, task: str) -> dict[str, Any]:
    """A tick that nobody took in time is worthless: the next one does its work."""
    return {"task": task, "schedule": seconds, "options": {"expires": max(10.0, min(seconds, 600.0))}}


settings = Settings()
app = create_worker(settings)


@cache
def _engine() -> Engine:
    return open_engine(settings.needed("database_url"), pool_size=4)


@cache
def _shelf() -> Shelf:
    return Shelf(_engine())


@cache
def _desk() -> Desk:
    model = HttpModel(os.environ, tuple(settings.judge_urls.replace(",", " ").split()))
    return Desk(_engine(), model, _shelf().book, lambda: datetime.now(UTC))


@cache
def _post() -> Post:
    return launch.alert_post(settings)


@worker_process_init.connect
def _begin_child(**_: object) -> None:
    """A forked child opens connections of its own and never outlives the worker, however that ends."""
    die_with_parent(signal.SIGKILL)
    _engine.cache_clear()
    _shelf.cache_clear()
    _desk.cache_clear()


@beat_embedded_init.connect
def _begin_beat(**_: object) -> None:
    die_with_parent(signal.SIGKILL)


@app.task(name="settle", time_limit=600)
def settle() -> int:
    """Settle the traces that went quiet."""
    return settle_all(
        _engine(),
        _shelf().refresh(),
        datetime.now(UTC),
        timedelta(seconds=settings.quiet_seconds),
        timedelta(seconds=settings.settle_after_seconds),
    )


@app.task(name="partitions", time_limit=600)
def partitions() -> None:
    """Make the partitions of the coming days."""
    make_ahead(_engine(), datetime.now(UTC).date())


@app.task(name="judge.sample", time_limit=600)
def sample() -> int:
    """Draw what is judged from what has settled."""
    return sample_all(_engine(), datetime.now(UTC))


@app.task(name="judge.ask", time_limit=600)
def ask() -> int:
    """Ask the judges what is owed to them."""
    _shelf().refresh()
    return ask_all(_desk())


@app.task(name="judge.watch", time_limit=600)
def watch() -> int:
    """Look at what was judged since, and open alerts where a stream has moved."""
    return drift.check_all(_engine(), datetime.now(UTC))


@app.task(name="judge.anchors", time_limit=600)
def judge_anchors() -> int:
    """Have frozen answers judged again where it is their time."""
    return anchors.schedule_all(_engine(), datetime.now(UTC))


@app.task(name="judge.reviews", time_limit=600)
def reviews() -> int:
    """Draw answers for people to label."""
    return queue.fill_all(_engine(), datetime.now(UTC))


@app.task(name="alerts.deliver", time_limit=600)
def deliver() -> int:
    """Tell those who asked to be told of alerts."""
    return deliver_all(_engine(), _post(), datetime.now(UTC))
