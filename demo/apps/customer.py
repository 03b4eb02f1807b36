"""Whoever is signed in."""

from __future__ import annotations

from dataclasses import dataclass

import tripoint


@dataclass(frozen=True, slots=True)
class Customer:
    """A user of the company's products, and what is known of them."""

    user: str
    tenant: str
    plan: str
    session: str

    def using(self, feature: str) -> tripoint.context:
        """Every request inside is made for this customer, in this feature."""
        return tripoint.context(
            feature=feature, user=self.user, session=self.session, tenant=self.tenant, plan=self.plan
        )
