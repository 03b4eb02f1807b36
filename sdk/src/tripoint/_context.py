"""For whom and for what a request is made."""

from __future__ import annotations

from tripoint._words import CONTEXT, TAG, Words


class context(Words):  # noqa: N801 - read as a word: with tripoint.context(...)
    """Everything that starts inside carries these words; inner contexts add to outer ones and win over them.

    Use it as `with context(...)`, `async with context(...)` or as `@context(...)` on a plain or async function
    or generator. `tier` is the intelligence tier of the model, `plan` the customer's subscription; any other
    name becomes a tag. A value of None says nothing; any other is cut at 512 characters. Never raises.
    """

    def __init__(
        self,
        *,
        feature: str | None = None,
        user: str | None = None,
        session: str | None = None,
        tenant: str | None = None,
        plan: str | None = None,
        tier: str | None = None,
        **tags: object,
    ) -> None:
        said: dict[str, object] = {
            CONTEXT["feature"]: feature,
            CONTEXT["user"]: user,
            CONTEXT["session"]: session,
            CONTEXT["tenant"]: tenant,
            CONTEXT["plan"]: plan,
            CONTEXT["tier"]: tier,
        }
        for name, value in tags.items():
            said[TAG + name] = value
        super().__init__(said)
