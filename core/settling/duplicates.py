"""Which records tell of one and the same call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.request import RequestRecord
from core.settling.tree import Key, Tree, key_of

HOUR_NS = 3_600 * 1_000_000_000  # two reports of one call do not start further apart than this
MILLISECOND_NS = 1_000_000  # how far one machine's clocks may disagree within a call
MAX_OPEN = 64  # calls compared at one moment; more of one response id in flight is a mock, not a provider


def groups_of_one_call(tree: Tree) -> list[list[Key]]:
    """Every request that is not a sum, in exactly one group; a group is one call.

    Records belong together by their response id, where one is below the other or, in any trace, both were
    running at once; else a request inside another with the same model and tokens; else two failures that the
    provider's SDK and another instrumentation reported at once.
    """
    calls = [r for key, r in tree.records.items() if not r.aggregate]
    calls.sort(key=lambda r: tree.order(key_of(r)))
    groups = _Groups(calls)
    _join_nested_ids(calls, tree, groups)
    _join_by_response_id(calls, tree, groups)
    _join_nested(tree, groups)
    _join_failures(calls, groups)
    return groups.listed()


class _Groups:
    """Disjoint sets of records that remember the response id of each set."""

    def __init__(self, calls: Sequence[RequestRecord]) -> None:
        self._leader = {key_of(r): key_of(r) for r in calls}
        self._members = {key_of(r): [key_of(r)] for r in calls}
        self._id = {key_of(r): r.response_id for r in calls}

    def of(self, key: Key) -> Key:
        return self._leader[key]

    def alone(self, key: Key) -> bool:
        return len(self.members(key)) == 1

    def response_id(self, key: Key) -> str | None:
        return self._id[self._leader[key]]

    def members(self, key: Key) -> list[Key]:
        return self._members[self._leader[key]]

    def join(self, a: Key, b: Key) -> None:
        a, b = sorted((self._leader[a], self._leader[b]), key=lambda leader: len(self._members[leader]))
        if a == b:
            return
        moved = self._members.pop(a)
        self._members[b] += moved
        self._leader |= dict.fromkeys(moved, b)
        self._id[b] = self._id[b] or self._id[a]

    def listed(self) -> list[list[Key]]:
        return list(self._members.values())


# by response id ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """A call whose records all run at the same time, so far."""

    records: list[RequestRecord]
    ends_ns: int
    provider: str | None

    def takes(self, record: RequestRecord, tree: Tree) -> bool:
        return (
            len(self.records) < MAX_OPEN
            and _compatible(self.provider, record.provider)
            and all(_two_reporters(member, record, tree) for member in self.records)
        )

    def add(self, record: RequestRecord) -> None:
        self.records.append(record)
        self.ends_ns = min(self.ends_ns, record.ended_ns)
        self.provider = self.provider or record.provider


def _join_nested_ids(calls: Iterable[RequestRecord], tree: Tree, groups: _Groups) -> None:
    """The same id below itself is the same call, whatever two machines' clocks say and whatever each calls the
    provider: a client names the gateway it spoke to, the gateway names the provider behind it."""
    by_id: dict[tuple[str, str], list[RequestRecord]] = {}
    for record in calls:
        if record.response_id is not None:
            by_id.setdefault((record.trace_id, record.response_id), []).append(record)
    for records in by_id.values():
        for record in records[:MAX_OPEN]:
            for other in records[:MAX_OPEN]:
                if tree.is_below(key_of(record), key_of(other)) and _fits(record, other, tree, groups):
                    groups.join(key_of(other), key_of(record))


def _fits(record: RequestRecord, other: RequestRecord, tree: Tree, groups: _Groups) -> bool:
    """Whether the two may be one call, given what each was joined with already."""
    ours, theirs = groups.members(key_of(record)), groups.members(key_of(other))
    return groups.of(key_of(record)) != groups.of(key_of(other)) and all(
        _two_reporters(tree.records[a], tree.records[b], tree) for a in ours for b in theirs
    )


def _join_by_response_id(calls: Iterable[RequestRecord], tree: Tree, groups: _Groups) -> None:
    """Two instrumentations of one call overlap in time; a mock that repeats its ids in sequence does not."""
    by_id: dict[str, list[_Open]] = {}
    for record in calls:
        if record.response_id is None:
            continue
        running = [
            call
            for call in by_id.get(record.response_id, ())
            if (call.ends_ns > record.started_ns or call.records[-1].started_ns == record.started_ns)
            and record.started_ns - call.records[0].started_ns <= HOUR_NS
        ][-MAX_OPEN:]
        takers = [call for call in running if call.takes(record, tree)]
        if takers:
            call = max(takers, key=lambda call: _closeness(call, record, tree))
            groups.join(key_of(call.records[0]), key_of(record))
            call.add(record)
        else:
            running.append(_Open([record], record.ended_ns, record.provider))
        by_id[record.response_id] = running


def _closeness(call: _Open, record: RequestRecord, tree: Tree) -> tuple[bool, bool, int]:
    """An ancestor before a span of the same trace before any other; then the one that started last."""
    nested = any(tree.is_below(key_of(record), key_of(member)) for member in call.records)
    beside = any(member.trace_id == record.trace_id for member in call.records)
    return nested, beside, call.records[-1].started_ns


def _two_reporters(a: RequestRecord, b: RequestRecord, tree: Tree) -> bool:
    """One instrumentation in one service reports a call once, so two reports of it are two calls
    unless one stands inside the other."""
    if not a.source or a.source != b.source or a.service != b.service:
        return True
    return tree.is_below(key_of(b), key_of(a)) or tree.is_below(key_of(a), key_of(b))


# inside one another -----------------------------------------------------------------------------------


def _join_nested(tree: Tree, groups: _Groups) -> None:
    """Each request absorbs at most one request inside it: two children are two calls of a wrapper."""
    for outer, children in _echoes_inside(tree).items():
        free = [child for child in children if _joinable(outer, key_of(child), groups)]
        if free and not _has_twin_below(outer, tree, groups):
            exact = [child for child in free if _same_tokens(child, tree.records[outer])]
            groups.join(outer, min((key_of(child) for child in exact or free), key=tree.order))


def _echoes_inside(tree: Tree) -> dict[Key, list[RequestRecord]]:
    """For each request those nearest inside it that look like the same call, whatever stands between."""
    enclosing: dict[Key, Key] = {}
    echoes: dict[Key, list[RequestRecord]] = {}
    for key in tree.preorder:
        parent = tree.parents.get(key)
        if parent is not None and parent in tree.records and not tree.is_sum(parent):
            enclosing[key] = parent
        elif parent in enclosing:
            enclosing[key] = enclosing[parent]
        record = tree.records.get(key)
        if record is None or record.aggregate or key not in enclosing:
            continue
        if _echoes(record, tree.records[enclosing[key]]):
            echoes.setdefault(enclosing[key], []).append(record)
    return echoes


def _joinable(outer: Key, inner: Key, groups: _Groups) -> bool:
    known = {groups.response_id(outer), groups.response_id(inner)} - {None}
    return groups.of(outer) != groups.of(inner) and len(known) <= 1


def _has_twin_below(outer: Key, tree: Tree, groups: _Groups) -> bool:
    """Whether its response id already found the record inside it."""
    return any(tree.is_below(key, outer) for key in groups.members(outer))


def _echoes(child: RequestRecord, parent: RequestRecord) -> bool:
    if child.response_id is not None and parent.response_id is not None:
        return False  # two ids that the first rule did not join are two calls
    if child.status == "error" and parent.status != "error":
        return False  # a failed attempt inside a call that went well
    return (
        _compatible(child.provider, parent.provider)
        and _same_model(child, parent)
        and (_same_tokens(child, parent) or not child.usage.known or not parent.usage.known)
        and (child.service != parent.service or _inside(child, parent))
    )


def _inside(child: RequestRecord, parent: RequestRecord) -> bool:
    """One machine's clock told both times; across services clocks differ by seconds and tell nothing."""
    return (
        parent.started_ns - child.started_ns <= MILLISECOND_NS
        and child.ended_ns - parent.ended_ns <= MILLISECOND_NS
    )


def _same_model(a: RequestRecord, b: RequestRecord) -> bool:
    if a.request_model and b.request_model:
        return a.request_model == b.request_model or a.response_model == b.response_model is not None
    return bool({a.request_model, a.response_model} & {b.request_model, b.response_model} - {None})


def _same_tokens(a: RequestRecord, b: RequestRecord) -> bool:
    tokens = a.usage.input_tokens, a.usage.output_tokens
    return a.usage.known and tokens == (b.usage.input_tokens, b.usage.output_tokens)


# failures without an id -------------------------------------------------------------------------------


def _join_failures(calls: Iterable[RequestRecord], groups: _Groups) -> None:
    """A refused call has no response id, and the provider's SDK may report it in a trace of its own.

    Each native failure is paired with the last started failure around it, one to one, so that the
    number of failures is right even where many run at once.
    """
    open_: list[RequestRecord] = []
    for record in sorted(calls, key=lambda r: (r.started_ns, r.native)):
        if record.status != "error" or record.response_id or not groups.alone(key_of(record)):
            continue
        if not record.native:
            open_ = [r for r in open_ if r.ended_ns > record.started_ns][1 - MAX_OPEN :]
            open_.append(record)
            continue
        around = next((r for r in reversed(open_) if _same_failure(record, r)), None)
        if around is not None:
            groups.join(key_of(around), key_of(record))
            open_.remove(around)


def _same_failure(native: RequestRecord, other: RequestRecord) -> bool:
    return (
        native.ended_ns <= other.ended_ns
        and native.started_ns - other.started_ns <= HOUR_NS
        and native.service == other.service
        and native.request_model == other.request_model is not None
        and _compatible(native.provider, other.provider)
        and (native.http_status == other.http_status or None in (native.http_status, other.http_status))
    )


def _compatible(a: str | None, b: str | None) -> bool:
    return a is None or b is None or a == b
