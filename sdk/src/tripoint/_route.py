"""Which tier a request was routed to, by whom and why."""

from __future__ import annotations

from tripoint._words import ROUTE, Words


class route(Words):  # noqa: N801 - read as a word: with tripoint.route(...)
    """The requests inside were routed to this tier, and this is the decision that did it.

    Use it as a block, an async block or a decorator, like `context`; the innermost tier wins. `score` is the
    router's own number, `reason` its sentence. In a cascade, `cascade` names the sequence of attempts, `step`
    counts its tiers from 0 and `escalated_from` is the tier that was not good enough; `fallback_from` is what
    failed; `attempt` counts tries of one call from 1. Never raises.
    """

    def __init__(
        self,
        tier: str | None = None,
        *,
        router: str | None = None,
        version: str | None = None,
        score: float | None = None,
        reason: str | None = None,
        cascade: str | None = None,
        step: int | None = None,
        escalated_from: str | None = None,
        fallback_from: str | None = None,
        attempt: int | None = None,
    ) -> None:
        super().__init__(
            {
                ROUTE["tier"]: tier,
                ROUTE["router"]: router,
                ROUTE["version"]: version,
                ROUTE["score"]: score,
                ROUTE["reason"]: reason,
                ROUTE["cascade"]: cascade,
                ROUTE["step"]: step,
                ROUTE["escalated_from"]: escalated_from,
                ROUTE["fallback_from"]: fallback_from,
                ROUTE["attempt"]: attempt,
            }
        )
