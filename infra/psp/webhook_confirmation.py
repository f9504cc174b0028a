"""Reads webhooks once more at the PSP, where the PSP's signature does not prove a webhook's whole body.

Invariant: a webhook that would change a payment is used as the PSP's own copy has it, and not without that
copy.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import structlog
from prometheus_client import Counter

from commands.notices import Notice
from gateways.agent.ports import CredentialsOf, Http, Responded
from gateways.agent.session import Calls
from gateways.contract import Confirms, Gateway
from relay.matching import ReceivedNotice

CONFIRMED = Counter(
    "aegispay_inbox_confirmed",
    "Webhooks that were read once more at the PSP: `differs` from what was delivered, or `not_shown` there",
    ["gateway", "account", "result"],
)
_log: Any = structlog.get_logger(inbox="confirm")


class ConfirmingGateway(Gateway, Confirms, Protocol):
    """An adapter with a call that reads a webhook's event at its PSP."""


class Confirming:
    """Confirms the webhooks of one PSP."""

    def __init__(self, gateway: ConfirmingGateway, http: Http, credentials_of: CredentialsOf) -> None:
        self._gateway = gateway
        self._calls = Calls(gateway, http, credentials_of)

    @property
    def gateway(self) -> str:
        """The gateway whose webhooks it confirms."""
        return self._gateway.facts.name

    async def all(self, received: Sequence[ReceivedNotice]) -> list[ReceivedNotice | None]:
        """Returns each as the PSP has it, in their order; None where the PSP did not show the event."""
        return list(await asyncio.gather(*map(self._one, received)))

    async def _one(self, received: ReceivedNotice) -> ReceivedNotice | None:
        if not self._gateway.changes(received.notice):
            return received
        found = await self._ask(received)
        result = "not_shown" if found is None else "same" if found == received.notice else "differs"
        CONFIRMED.labels(received.gateway, received.account, result).inc()
        if result == "differs":
            _log.error("the PSP's event is not what was delivered", id=received.id, account=received.account)
        return None if found is None else replace(received, notice=found)

    async def _ask(self, received: ReceivedNotice) -> Notice | None:
        async with self._calls.slot(received.account):
            result = await self._calls.call(
                "query", received.account, lambda known: self._gateway.confirm(received.notice, known), None
            )
        return (
            self._gateway.confirmed(received.notice, result.response)
            if isinstance(result, Responded)
            else None
        )
