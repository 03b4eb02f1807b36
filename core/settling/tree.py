"""The spans of a set of traces as a forest that no sender can tie into a knot."""

from __future__ import annotations

from collections.abc import Mapping

from core.request import ContextSpan, RequestRecord

Key = tuple[str, str]  # trace id, span id


def key_of(span: RequestRecord | ContextSpan) -> Key:
    """The identity of a span."""
    return span.trace_id, span.span_id


class Tree:
    """Parents, children and depth of every span, depending on the set of spans alone.

    A missing parent makes a root; so does a cycle, at its first span.
    """

    def __init__(
        self, records: Mapping[Key, RequestRecord], context_spans: Mapping[Key, ContextSpan]
    ) -> None:
        self.records = records
        self.spans: dict[Key, RequestRecord | ContextSpan] = {**context_spans, **records}
        self.parents = self._parents()
        self.children: dict[Key, list[Key]] = {}
        roots = []
        for key in sorted(self.spans, key=self.order):
            parent = self.parents.get(key)
            if parent is None:
                roots.append(key)
            else:
                self.children.setdefault(parent, []).append(key)
        self.preorder: list[Key] = []
        self.depth: dict[Key, int] = {}
        self._last: dict[Key, int] = {}  # position of the last span below
        self._position: dict[Key, int] = {}
        self._walk(roots)

    def order(self, key: Key) -> tuple[int, str, str]:
        """The one order of spans everywhere: by start, then ids."""
        return self.spans[key].started_ns, *key

    def is_sum(self, key: Key) -> bool:
        """Whether the span is a request only by carrying a sum of tokens."""
        record = self.records.get(key)
        return record is not None and record.aggregate

    def is_below(self, key: Key, ancestor: Key) -> bool:
        """Whether `ancestor` stands anywhere above `key`."""
        return self._position[ancestor] < self._position[key] <= self._last[ancestor]

    def _parents(self) -> dict[Key, Key]:
        parents = {
            key: (key[0], span.parent_span_id)
            for key, span in self.spans.items()
            if span.parent_span_id is not None and (key[0], span.parent_span_id) in self.spans
        }
        seen: set[Key] = set()
        for start in list(parents):
            path: dict[Key, None] = {}
            at: Key | None = start
            while at is not None and at not in seen and at not in path:
                path[at] = None
                at = parents.get(at)
            seen.update(path)  # not |=, which copies the whole set for the keys of a dict
            if at in path:
                knot = list(path)[list(path).index(at) :]
                del parents[min(knot, key=self.order)]
        return parents

    def _walk(self, roots: list[Key]) -> None:
        stack = [(key, 0, False) for key in reversed(roots)]
        while stack:
            key, depth, done = stack.pop()
            if done:
                self._last[key] = len(self.preorder) - 1
                continue
            self._position[key] = len(self.preorder)
            self.depth[key] = depth
            self.preorder.append(key)
            stack.append((key, depth, True))
            stack.extend((child, depth + 1, False) for child in reversed(self.children.get(key, ())))
