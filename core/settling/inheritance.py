"""Context flows down a trace: own first, then the nearest ancestor that has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from core.request import Context
from core.settling.tree import Key, Tree

NOTHING = Context()
_OWN_ONLY = frozenset({"cascade_step"})  # a position, true of one attempt and of nothing below it
_INHERITED = [f.name for f in fields(Context) if f.name not in _OWN_ONLY | {"tags"}]


def inherited_contexts(tree: Tree) -> dict[Key, Context]:
    """What each span would get from its ancestors, its own context not included."""
    passed_on: dict[Key, Context] = {}
    received: dict[Key, Context] = {}
    for key in tree.preorder:
        parent = tree.parents.get(key)
        received[key] = passed_on[parent] if parent is not None else NOTHING
        passed_on[key] = first_of([tree.spans[key].context, received[key]])
    return received


def first_of(contexts: Sequence[Context]) -> Context:
    """Each field from the first context that has it; tags of one name likewise. Own-only fields fall away."""
    known = [context for context in contexts if context != NOTHING]
    if len(known) <= 1:
        only = known[0] if known else NOTHING
        return only if only.cascade_step is None else replace(only, cascade_step=None)
    chosen = {
        name: next((value for c in known if (value := getattr(c, name)) is not None), None)
        for name in _INHERITED
    }
    tags = {name: value for context in reversed(known) for name, value in context.tags.items()}
    return Context(**chosen, tags=tags)


def own_then_inherited(own: Context, inherited: Context) -> Context:
    """A request's effective context; a feature named anywhere on the way up beats any mere hint."""
    return named(replace(first_of([own, inherited]), cascade_step=own.cascade_step))


def named(context: Context) -> Context:
    """The same context with its best hint standing in for a feature that nobody named."""
    return replace(context, feature=context.feature or context.feature_hint)
