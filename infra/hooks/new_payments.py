"""Consults the hooks about new payments: pre-validation, fraud, then routing, each kind in its order.

Invariant: every hook that was called has a verdict, its own or that of its failure mode; after a denial no
further hook is called.
"""

import asyncio
import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from aggregates.hooks import HookDecision, Verdict
from aggregates.routing.facts import Hints
from commands.hooks import (
    Accept,
    Accounts,
    Allow,
    Deny,
    FraudCheck,
    NewPayment,
    PreValidation,
    Refuse,
    Review,
    Routing,
)
from commands.messages import CreatePayment
from infra.errors import Misconfigured
from infra.hooks.calls import Calls, Failed, Returned, is_async
from infra.hooks.discovery import Hooks
from infra.hooks.words import fit

# A batch has to be done within 60 s (infra/workers/command_loop.py), of which hooks get half.
_BATCH_WITHIN_S: Final = 30.0
_DecidingHook = PreValidation | FraudCheck | Routing
_GIVES: Final[dict[type[_DecidingHook], tuple[type, ...]]] = {
    PreValidation: (Accept, Refuse),
    FraudCheck: (Allow, Deny, Review),
    Routing: (Accounts,),
}


class NewPaymentHooks:
    """The hooks of the command worker. `hooks` has one of its three kinds at least."""

    def __init__(self, hooks: Hooks, threads: int) -> None:
        self._hooks: tuple[_DecidingHook, ...] = (*hooks.pre_validation, *hooks.fraud, *hooks.routing)
        self._calls = Calls(threads)

    @classmethod
    def of(cls, hooks: Hooks, threads: int, batch_max: int) -> "NewPaymentHooks | None":
        """Returns None where no such hook is installed. Raises `Misconfigured` where their limits do not fit
        into a batch."""
        made = cls(hooks, threads)
        if not made._hooks:
            return None
        waves = math.ceil(batch_max / threads)
        longest_s = sum(one.within_s if is_async(one.run) else one.within_s * waves for one in made._hooks)
        if longest_s > _BATCH_WITHIN_S:
            raise Misconfigured(
                f"the hooks may take {longest_s:g} s for a batch of {batch_max} payments in {threads} threads, and at "
                f"most {_BATCH_WITHIN_S:g} s fit: lower their within_s or AEGISPAY_BATCH_MAX, raise "
                "AEGISPAY_HOOK_THREADS, or make them async"
            )
        return made

    @property
    def names(self) -> list[str]:
        """The hooks in the order in which they are called."""
        return [f"{one.KIND}:{one.name}" for one in self._hooks]

    async def consult(self, creates: Sequence[CreatePayment]) -> dict[UUID, list[Verdict]]:
        """Returns the verdicts by the creates' command ids. All creates are consulted about at once."""
        verdicts = await asyncio.gather(*map(self._consult_all, creates))
        return {create.command_id: of_one for create, of_one in zip(creates, verdicts, strict=True)}

    async def _consult_all(self, create: CreatePayment) -> list[Verdict]:
        payment, verdicts = _new_payment(create), list[Verdict]()
        for hook in self._hooks:
            result = await self._calls.call(hook, hook.run, payment, gives=_GIVES[type(hook)])
            verdicts.append(_verdict(hook, result, payment))
            if verdicts[-1].decision == "deny":
                break
        return verdicts


def _new_payment(create: CreatePayment) -> NewPayment:
    card = create.card
    return NewPayment(
        payment_id=create.payment_id,
        merchant_id=create.merchant_id,
        idempotency_key=create.idempotency_key,
        amount_minor=create.amount_minor,
        currency=create.currency,
        capture=create.capture,
        payment_method=create.payment_method,
        payment_methods=MappingProxyType(dict(create.payment_methods or {})),
        method=create.method,
        card_bin=None if card is None else card.bin,
        card_country=None if card is None else card.country,
        card_scheme=None if card is None else card.scheme,
        card_funding=None if card is None else card.funding,
        customer_id=create.customer_id,
        country=create.country,
        description=create.description,
        # A copy that the hook cannot change: the next hook, and the payment, get what the merchant sent.
        metadata=MappingProxyType(dict(create.metadata)),
        expires_at=create.expires_at,
    )


def _verdict(hook: _DecidingHook, result: Returned | Failed, payment: NewPayment) -> Verdict:
    shared: dict[str, Any] = {"hook": hook.name, "kind": hook.KIND, "took_ms": result.took_ms}
    if isinstance(result, Failed):
        decision: HookDecision = "deny" if hook.on_failure == "closed" else "allow"
        return Verdict(**shared, decision=decision, failed=result.why, failure_mode=hook.on_failure)
    match result.value:
        case Accept():
            return Verdict(**shared, decision="allow")
        case Refuse(code, detail):
            return Verdict(**shared, decision="deny", code=code, reason=_words(detail, payment))
        case Allow(score, reason):
            return Verdict(**shared, decision="allow", score=_float(score), reason=_words(reason, payment))
        case Deny(reason, score):
            return Verdict(**shared, decision="deny", score=_float(score), reason=_words(reason, payment))
        case Review(reason, score):
            return Verdict(**shared, decision="review", score=_float(score), reason=_words(reason, payment))
        case Accounts(only, never, prefer, reason):
            hints = Hints(tuple(only), tuple(never), tuple(prefer))
            return Verdict(**shared, decision="allow", reason=_words(reason, payment), hints=hints)
        case _:
            raise AssertionError(type(result.value))


def _float(score: float | None) -> float | None:
    return None if score is None else float(score)


def _words(text: str | None, payment: NewPayment) -> str | None:
    return fit(text, [payment.payment_method or "", *payment.payment_methods.values()])
