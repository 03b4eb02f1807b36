"""All records of a set of traces → which of them count, and with whose context.

Three errors of naive summing are undone here: one call reported by two instrumentations, a parent
that repeats the sum of its children, and a request whose user or feature only its ancestors know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from core.request import ContextSpan, RequestRecord
from core.settling.duplicates import groups_of_one_call
from core.settling.inheritance import inherited_contexts, own_then_inherited
from core.settling.merge import merged
from core.settling.tree import Key, Tree, key_of
from core.usage import Usage

_Sent = TypeVar("_Sent", RequestRecord, ContextSpan)


@dataclass(frozen=True, slots=True)
class Settled:
    """One record's verdict: `record` is what it means after inheritance and merging.

    Where it does not count, `duplicate_of` names the counted record that covers it.
    """

    record: RequestRecord
    counted: bool
    duplicate_of: Key | None = None


def settle(requests: Sequence[RequestRecord], spans: Sequence[ContextSpan]) -> list[Settled]:
    """One verdict for each request, in order of time and ids.

    The result depends on the set of inputs alone, not on their order or on how often one came, and the
    inputs are records as sent: after a late arrival, settle them all again. Every record that does not
    count names one that does.
    """
    records = _distinct(requests)
    tree = Tree(records, _distinct(spans))
    contexts = inherited_contexts(tree)
    effective = {
        key: replace(record, context=own_then_inherited(record.context, contexts[key]))
        for key, record in records.items()
    }
    winners: dict[Key, Key] = {}
    for group in groups_of_one_call(tree):
        if len(group) == 1:
            winners[group[0]] = group[0]
            continue
        winner = merged([records[key] for key in group], tree, contexts)
        effective[key_of(winner)] = winner
        winners |= dict.fromkeys(group, key_of(winner))
    covered = winners | _covered_sums(tree, winners)
    return [
        Settled(effective[key], covered[key] == key, None if covered[key] == key else covered[key])
        for key in sorted(records, key=tree.order)
    ]


def _distinct(sent: Iterable[_Sent]) -> dict[Key, _Sent]:
    """One record an id; of two that differ the choice does not depend on their order."""
    found: dict[Key, _Sent] = {}
    for record in sent:
        key = key_of(record)
        if key in found and found[key] != record:
            record = max(found[key], record, key=repr)
        found[key] = record
    return found


def _covered_sums(tree: Tree, winners: Mapping[Key, Key]) -> dict[Key, Key]:
    """The orphan rule: a sum counts only where no request stands below it, and of nested sums the outermost.

    A sum that merely repeats the tokens of a request above it does not count either.
    """
    below = _first_request_below(tree, winners)
    verdict: dict[Key, Key] = {}
    counted_sum: dict[Key, Key] = {}
    request: dict[Key, Key] = {}
    for key in tree.preorder:
        parent = tree.parents.get(key)
        for nearest in (counted_sum, request):
            if parent in nearest:
                nearest[key] = nearest[parent]
        if key in winners:
            request[key] = key
        elif tree.is_sum(key):
            repeats = key in request and _repeats(tree.records[key].usage, tree.records[request[key]].usage)
            above = winners[request[key]] if repeats else counted_sum.get(key)
            verdict[key] = below.get(key) or above or key
            if verdict[key] == key:
                counted_sum[key] = key
    return verdict


def _first_request_below(tree: Tree, winners: Mapping[Key, Key]) -> dict[Key, Key]:
    """For each span the first counted request at or below it."""
    first: dict[Key, Key] = {}
    for key in reversed(tree.preorder):
        found = [first[child] for child in tree.children.get(key, ()) if child in first]
        if key in winners:
            found.append(winners[key])
        if found:
            first[key] = min(found, key=tree.order)
    return first


def _repeats(echo: Usage, of: Usage) -> bool:
    """Whether every total that the one knows is the other's."""
    return echo.input_tokens in (None, of.input_tokens) and echo.output_tokens in (None, of.output_tokens)
