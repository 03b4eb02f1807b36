"""The audit log's entries as sentences."""

from __future__ import annotations

from core.store.audit import Entry

_WORDS = {
    "project.create": "made the project",
    "key.create": "made a key",
    "key.revoke": "revoked a key",
    "account.create": "made an account",
    "account.disable": "disabled an account",
    "account.enable": "enabled an account",
    "membership.add": "added to the project",
    "membership.role": "changed a role",
    "membership.remove": "removed from the project",
    "password.change": "set a password",
    "password.link": "made a link to set a password",
    "sign_in": "signed in",
    "sign_in.failed": "failed to sign in: wrong password",
    "sign_out": "signed out",
    "sign_out.everywhere": "signed out everywhere",
    "settle": "settled by hand what waited",
    "alert.acknowledge": "acknowledged an alert",
    "alert.resolve": "resolved an alert",
    "anchors.freeze": "froze a set of anchors",
    "anchors.run": "had anchors judged again",
    "anchors.retire": "retired a set of anchors",
    "channel.create": "made a channel for alerts",
    "channel.remove": "removed a channel for alerts",
    "drift.set": "changed what the watches are asked",
    "rubric.create": "made a rubric",
    "judge.create": "made a judge",
    "judge.retire": "retired a judge",
    "policy.start": "started a policy of judging",
    "policy.end": "ended a policy of judging",
    "comparison.start": "had pairs of answers compared",
    "judge_budget.set": "set what judging may cost a day",
    "review.plan": "planned reviews by people",
    "label.import": "imported labels",
}


def said(entry: Entry) -> tuple[str, str, str]:
    """What was done, to what, and the details, as a reader sees them."""
    details = {name: value for name, value in entry.details.items() if value is not None}
    if "expires" in details:
        details["expires"] = str(details["expires"])[:10]
    if "how" in details:
        details["with a"] = details.pop("how")
    rest = [f"{name} {value}" for name, value in sorted(details.items())]
    target = "" if entry.target == entry.actor else entry.target
    return _WORDS.get(entry.action, entry.action), target, ", ".join(rest)
