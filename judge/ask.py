"""Asks the judges what is owed to them: claim, reserve, ask, record; each judgement once, whatever dies on the way."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from time import monotonic

import structlog
from sqlalchemy import Connection, Engine

from core.judging.judge import Judge
from core.judging.material import Material, material_from_json, material_of, missing
from core.judging.prompt import Prompt, ask, ask_pair
from core.judging.reply import Reply, Unreadable, read_pair, read_reply
from core.judging.rubric import Rubric
from core.judging.scorers import score_text
from core.pricing.price import PriceBook
from core.score import Score
from core.stats.sampling import draw
from core.store import judging
from core.store.judges import StoredPolicy, list_judges, list_policies, rubrics_by_id
from core.store.judging import Call, Outcome, Task
from core.store.partitions import ensure_days
from core.store.rows import day_of
from core.store.scores import author_keys, insert_scores
from core.store.session import project_ids, tenant
from judge.call import call_of, dearest_pico
from judge.models import Answer, CallError, Model

log = structlog.get_logger()

ATTEMPTS_MAX = 8
"""Calls that may fail before a judgement is given up; what is put off by the server's own word does not count."""
UNREADABLE_MAX = 3
"""Replies that may be unreadable before it is given up."""
_LANES = 8
_THREADS = 32
_SCORED_AT_ONCE = 200
_GRACE = timedelta(seconds=30)
_TURN_S = 20.0


@dataclass(frozen=True)
class Desk:
    """What asking needs: made once a process. `chance` spreads what is tried again."""

    engine: Engine
    model: Model
    book: Callable[[], PriceBook]
    clock: Callable[[], datetime]
    chance: random.Random = field(default_factory=random.Random)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A claimed judgement with all that its call needs; `prompt` is None for a scorer, which is asked nothing."""

    task: Task
    rubric: Rubric
    material: Material
    prompt: Prompt | None
    dearest_pico: int


def ask_all(desk: Desk, turn_s: float = _TURN_S) -> int:
    """Ask every judge of every project what is owed, side by side, for about `turn_s`; returns how many judgements
    came to an end. What fails in one leaves the others alone."""
    until = monotonic() + turn_s
    with ThreadPoolExecutor(_LANES, "lane") as lanes:
        turns = [
            lanes.submit(_in_peace, desk, project_id, judge_id, until)
            for project_id in project_ids(desk.engine)
            for judge_id in _owed(desk, project_id)
        ]
        return sum(turn.result() for turn in turns)


def _owed(desk: Desk, project_id: int) -> Sequence[int | None]:
    with tenant(desk.engine, project_id) as connection:
        judging.expire(connection, desk.clock())
        return judging.owed_to(connection, desk.clock())


def _in_peace(desk: Desk, project_id: int, judge_id: int | None, until: float) -> int:
    try:
        return _turn(desk, project_id, judge_id, until)
    except Exception:
        log.exception("judge.failed", project=project_id, judge=judge_id)
        return 0


def _turn(desk: Desk, project_id: int, judge_id: int | None, until: float) -> int:
    with tenant(desk.engine, project_id) as connection:
        found = next((one for one in list_judges(connection) if one.judge.id == judge_id), None)
        judge = found.judge if found else None
        policies = {one.id: one for one in list_policies(connection)}
        authors = author_keys(connection, project_id, [judge.name] if judge else [])
    retired = found is not None and found.retired_at is not None
    lane = _Lane(desk, project_id, judge, policies, authors, retired)
    if judge is None:
        return _score(lane, until)
    ended = 0
    flying: set[Future[bool]] = set()
    with ThreadPoolExecutor(min(judge.at_once, _THREADS), "judge") as pool:
        while True:
            free = min(judge.at_once, _THREADS) - len(flying)
            if monotonic() < until and (not flying or free * 2 >= judge.at_once):
                flying |= {pool.submit(lane.ask, one) for one in lane.take(free)}
            if not flying:
                return ended
            done, flying = wait(flying, return_when=FIRST_COMPLETED)
            ended += sum(one.result() for one in done)


def _score(lane: _Lane, until: float) -> int:
    """Deterministic scorers: no call, no cost."""
    ended = 0
    while monotonic() < until and (claimed := lane.take(_SCORED_AT_ONCE)):
        for one in claimed:
            try:
                lane.record(one, score_text(one.rubric, one.material), None)
            except Unreadable as error:
                lane.unreadable(one, None, error)
            ended += 1
    return ended


@dataclass(frozen=True)
class _Lane:
    """One judge's work for one project, in this process. `authors` has the key of the judge's name beside its scores;
    a `retired` judge is asked nothing more; `well` is set while its last call succeeded, so that its circuit is known
    to be closed."""

    desk: Desk
    project_id: int
    judge: Judge | None
    policies: dict[int, StoredPolicy]
    authors: Mapping[str, int]
    retired: bool = False
    well: Event = field(default_factory=Event)

    def take(self, most: int) -> list[_Asked]:
        """Claim what is owed and reserve what it may cost; what cannot be asked ends here with its reason."""
        now = self.desk.clock()
        judge = self.judge
        lease = timedelta(seconds=judge.timeout_s if judge else 60) + _GRACE
        with self._open() as connection:
            tasks = judging.claim(
                connection, judge.id if judge else None, judge.at_once if judge else most, most, now, lease
            )
            if not tasks:
                return []
            rubrics = rubrics_by_id(connection, {task.rubric_id for task in tasks})
            ready = []
            for task in tasks:
                prepared = self._prepare(task, rubrics[task.rubric_id])
                if isinstance(prepared, str):
                    judging.record(connection, self.project_id, task, None, Outcome("failed", prepared), now)
                else:
                    ready.append(prepared)
            if judge is None:
                return ready
            amounts = {one.task.id: one.dearest_pico for one in ready}
            granted = judging.reserve(connection, self.project_id, amounts, now) if amounts else set()
        return [one for one in ready if one.task.id in granted]

    def _prepare(self, task: Task, rubric: Rubric) -> _Asked | str:
        if self.retired:
            return "its judge was retired"
        if task.attempts > ATTEMPTS_MAX:
            return f"{ATTEMPTS_MAX} calls to its judge ended without an answer"
        if task.material is None and task.output is None:
            return "its prompt and answer are no longer stored"
        material = _material(task)
        if reason := missing(material, rubric):
            return reason
        if self.judge is None:
            if rubric.scorer is None:
                return "its rubric needs a judge, and it has none"
            return _Asked(task, rubric, material, None, 0)
        mark = secrets.token_hex(6)
        if task.purpose == "pair" and task.material is not None:
            prompt = ask_pair(rubric, material, _other(task), swapped=task.repeat == 1, mark=mark)
        else:
            prompt = ask(rubric, material, mark=mark)
        dearest = dearest_pico(self.judge, prompt, self.desk.book(), self.desk.clock())
        if dearest is None:
            return (
                f"nobody knows what {self.judge.provider} {self.judge.model} costs, so nothing can be set aside for"
                " it: make a judge with input_usd_per_million and output_usd_per_million"
            )
        return _Asked(task, rubric, material, prompt, dearest)

    def ask(self, one: _Asked) -> bool:
        """Make the call and write down what came of it; True where the judgement has come to an end."""
        assert self.judge is not None and one.prompt is not None
        try:
            answer = self.desk.model.answer(self.judge, one.prompt)
        except CallError as failed:
            return self._failed(one, failed)
        call = call_of(self.judge, one.task, one.rubric, answer, self.desk.book(), one.dearest_pico)
        try:
            reply = self._read(one, answer)
        except Unreadable as error:
            return self.unreadable(one, call, error)
        self.record(one, reply, call)
        return True

    def _read(self, one: _Asked, answer: Answer) -> Reply:
        if answer.finish_reason in ("length", "max_tokens"):
            raise Unreadable("the reply was cut off: raise the judge's max_output_tokens")
        if one.task.purpose == "pair":
            return read_pair(
                answer.text, one.rubric, one.material, _other(one.task), swapped=one.task.repeat == 1
            )
        return read_reply(answer.text, one.rubric, one.material)

    def record(self, one: _Asked, reply: Reply, call: Call | None) -> None:
        """The scores, the call and its cost, all or none."""
        now = self.desk.clock()
        shown = _scores(one, reply, self.judge, now) if _counts(one.task) else []
        came = Outcome("scored", scores=reply.scores, said=reply.reasons, confidence=reply.confidence)
        self._ensure_days(now, call)
        with self._open() as connection:
            if not judging.record(connection, self.project_id, one.task, call, came, now):
                return
            insert_scores(connection, self.project_id, shown, self.authors)
            policy = self.policies.get(one.task.policy_id or 0)
            if policy and policy.strong and policy.strong.id and one.task.purpose == "sample":
                others = judging.other_repeats(connection, one.task) if policy.policy.repeats > 1 else []
                if purpose := _escalation(policy, one.task, reply, others):
                    judging.escalate(connection, self.project_id, one.task, policy.strong.id, purpose, now)
            if self.judge and self.judge.id and not self.well.is_set():
                judging.note_success(connection, self.judge.id)
        self.well.set()

    def _ensure_days(self, now: datetime, call: Call | None) -> None:
        days = {now.astimezone(UTC).date()}
        ensure_days(self.desk.engine, days | ({day_of(call.record.started_ns)} if call else set()))

    def _end(self, one: _Asked, call: Call | None, outcome: Outcome) -> bool:
        """Write down what came of it where that is no score; True where the judgement has come to an end."""
        now = self.desk.clock()
        self._ensure_days(now, call)
        with self._open() as connection:
            judging.record(connection, self.project_id, one.task, call, outcome, now)
        return outcome.state == "failed"

    def unreadable(self, one: _Asked, call: Call | None, error: Unreadable) -> bool:
        """Ask once more where a `call` brought what nobody can read, or give up; True where it has come to an end."""
        words = f"its reply cannot be read: {error}" if call else str(error)
        if call is None or one.task.unreadable + 1 >= UNREADABLE_MAX:
            return self._end(one, call, Outcome("failed", words, unreadable=call is not None))
        return self._end(
            one, call, Outcome("waiting", words, not_before=self.desk.clock(), counts=False, unreadable=True)
        )

    def _failed(self, one: _Asked, failed: CallError) -> bool:
        assert self.judge is not None and self.judge.id is not None
        now = self.desk.clock()
        call = call_of(self.judge, one.task, one.rubric, failed, self.desk.book(), one.dearest_pico)
        put_off = failed.status == 429 or failed.error_type == "no_key"
        if failed.retry:
            self.well.clear()
            pause = failed.retry_after_s if failed.retry_after_s is not None else (1.0 if put_off else None)
            until = None if pause is None else now + timedelta(seconds=pause)
            with self._open() as connection:
                judging.note_failure(connection, self.judge.id, failed.reason, until, now)
        if not failed.retry or (not put_off and one.task.attempts >= ATTEMPTS_MAX):
            return self._end(one, call, Outcome("failed", failed.reason))
        wait_s = max(failed.retry_after_s or 0.0, self._backoff_s(one.task.attempts))
        later = now + timedelta(seconds=wait_s)
        return self._end(one, call, Outcome("waiting", failed.reason, not_before=later, counts=not put_off))

    def _open(self) -> AbstractContextManager[Connection]:
        return tenant(self.desk.engine, self.project_id)

    def _backoff_s(self, attempts: int) -> float:
        """Full jitter, so that many that failed at once do not come back at once (Brooker 2015)."""
        return self.desk.chance.uniform(0, min(300.0, 2.0 * 2**attempts))


def _material(task: Task) -> Material:
    if task.material is None:
        return material_of(task.input, task.output, task.reference)
    return material_from_json(task.material)


def _other(task: Task) -> str:
    """The other answer of a pair."""
    return str((task.material or {}).get("other") or "")


def _counts(task: Task) -> bool:
    """Whether its scores are the request's, to be shown with it; those of a trial or of an anchor are not."""
    return task.purpose in ("sample", "escalated", "audit")


def _scores(one: _Asked, reply: Reply, judge: Judge | None, now: datetime) -> list[Score]:
    return [
        Score(
            trace_id=one.task.trace_id,
            span_id=one.task.span_id,
            name=one.rubric.score_name(dimension),
            value=value,
            recorded_at=now,
            id=f"judging-{one.task.id}-{dimension}",
            source="judge" if judge else "scorer",
            author=judge.name if judge else None,
            comment=(reply.reasons.get(dimension) or None) and reply.reasons[dimension][:2000],
        )
        for dimension, value in reply.scores.items()
    ]


def _escalation(of: StoredPolicy, task: Task, reply: Reply, others: Sequence[object]) -> str | None:
    """Whether the strong judge is asked too: for doubt, or to audit a random share of those without any."""
    unsure = reply.confidence is not None and reply.confidence < of.policy.escalate_below
    if unsure or any(other != reply.scores for other in others):
        return "escalated"
    if draw(task.trace_id, task.span_id, f"{of.salt}/audit") < of.policy.audit:
        return "audit"
    return None
