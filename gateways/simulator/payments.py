"""What happens to payment intents: decided and committed here, before anybody is answered. No I/O but the ledger."""

import hmac
from dataclasses import dataclass, field
from typing import Final, Literal

import orjson

from gateways.simulator import forms
from gateways.simulator.dialect import StripeError, card_error, intent_object, invalid, new_id, no_such_intent
from gateways.simulator.ledger import Intent, Ledger, StoredAnswer
from gateways.simulator.scenarios import DECLINES, SETTLES_AFTER_S, Scenario

_CANCELABLE: Final = frozenset({"requires_action", "requires_payment_method"})


@dataclass(frozen=True, slots=True)
class Keyed:
    """The idempotency key of a request and what it was sent with."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Payments:
    ledger: Ledger
    # Keys whose first request was spoilt before anything was done. Lost at a restart: then it is spoilt once more.
    spoilt: set[str] = field(default_factory=set)

    def refuse_before(self, scenario: Scenario, keyed: Keyed | None, now: float) -> Literal["reset"] | None:
        """What the scenario does instead of a charge. Raises `StripeError`; "reset": the connection is cut."""
        once = scenario.before in {"500_once", "reset_once"}
        if scenario.before is None or (once and keyed is not None and keyed.key in self.spoilt):
            return None
        if scenario.before == "429":
            message = "Request rate limit exceeded."
            raise StripeError(
                429, {"type": "invalid_request_error", "code": "rate_limit", "message": message}
            )
        if once and keyed is not None:
            self.spoilt.add(keyed.key)
        if scenario.before == "reset_once":
            return "reset"
        broken = StripeError(500, {"type": "api_error", "message": "An unknown error occurred."})
        if scenario.before == "500_kept":
            self._keep(keyed, broken.status, broken.body, now)
        raise broken

    def create(self, asked: forms.Create, origin: str, keyed: Keyed | None, now: float) -> tuple[int, bytes]:
        """The intent, its charge and the stored answer in one transaction."""
        status = asked.scenario.status
        intent_id = new_id("pi", now)
        client_secret = f"{intent_id}_secret_{new_id('s', now)}"
        challenged = status == "requires_action"
        intent = Intent(
            id=intent_id,
            client_secret=client_secret,
            reference=asked.metadata.get("order_ref"),
            amount=asked.amount,
            currency=asked.currency,
            status=status,
            payment_method=asked.payment_method,
            description=asked.description,
            metadata=orjson.dumps(asked.metadata).decode(),
            return_url=asked.return_url,
            action_url=f"{origin}/3d-secure/{client_secret}" if challenged else None,
            failure=asked.scenario.decline,
            created=int(now),
            settles_at=now + SETTLES_AFTER_S if status == "processing" else None,
        )
        charge_id = new_id("ch", now) if status == "succeeded" else None
        answer = self._answer(intent, charge_id, asked.scenario)
        with self.ledger.writing():
            self.ledger.add_intent(intent)
            if charge_id is not None:
                self.ledger.add_charge(charge_id, intent, now)
            self._keep(keyed, *answer, now)
        return answer

    @staticmethod
    def _answer(intent: Intent, charge_id: str | None, scenario: Scenario) -> tuple[int, bytes]:
        shown = intent_object(intent, charge_id)
        if intent.status == "requires_payment_method":
            error = card_error(DECLINES[intent.failure or ""], intent.payment_method)
            return 402, StripeError(402, error | {"payment_intent": shown}).body
        if scenario.answer == "wrong_amount":
            shown |= {"amount": intent.amount + 100, "amount_received": intent.amount + 100}
        elif scenario.answer == "wrong_currency":
            shown["currency"] = "eur" if intent.currency != "eur" else "usd"
        return 200, orjson.dumps(shown)

    def cancel(
        self, intent_id: str, reason: str | None, keyed: Keyed | None, now: float
    ) -> tuple[int, bytes]:
        intent = self.known(intent_id, now)
        if intent.status not in _CANCELABLE:
            text = f"You cannot cancel this PaymentIntent because it has a status of {intent.status}."
            unfit = invalid(text, code="payment_intent_unexpected_state")
            unfit.error["payment_intent"] = self.shown(intent)
            raise unfit
        canceled = intent._replace(
            status="canceled", action_url=None, canceled_at=int(now), cancellation_reason=reason
        )
        answer = 200, orjson.dumps(intent_object(canceled, None))
        with self.ledger.writing():
            self.ledger.change_intent(canceled)
            self._keep(keyed, *answer, now)
        return answer

    def finish_challenge(self, client_secret: str, *, passed: bool, now: float) -> Intent | None:
        """After 3-D Secure. None for an unknown challenge; one that has ended stays as it ended."""
        intent = self.challenged(client_secret)
        if intent is None or intent.status != "requires_action":
            return intent
        failure = intent.failure if passed else "authentication_failed"
        if failure is None:
            return self._charge(intent, now)
        refused = intent._replace(status="requires_payment_method", action_url=None, failure=failure)
        self.ledger.change_intent(refused)
        return refused

    def challenged(self, client_secret: str) -> Intent | None:
        intent = self.ledger.intent(client_secret.partition("_secret_")[0])
        if intent is None or not hmac.compare_digest(intent.client_secret, client_secret):
            return None
        return intent

    def settle(self, now: float) -> None:
        """Intents that were `processing` long enough."""
        for intent in self.ledger.due_to_settle(now):
            self._charge(intent, now)

    def _charge(self, intent: Intent, now: float) -> Intent:
        charged = intent._replace(status="succeeded", action_url=None, settles_at=None)
        with self.ledger.writing():
            self.ledger.change_intent(charged)
            self.ledger.add_charge(new_id("ch", now), charged, now)
        return charged

    def known(self, intent_id: str, now: float) -> Intent:
        self.settle(now)
        intent = self.ledger.intent(intent_id)
        if intent is None:
            raise no_such_intent(intent_id)
        return intent

    def shown(self, intent: Intent, *, expand_charge: bool = False) -> dict[str, object]:
        charge_id = self.ledger.charge_id(intent.id) if intent.status == "succeeded" else None
        return intent_object(intent, charge_id, expand_charge=expand_charge)

    def _keep(self, keyed: Keyed | None, status: int, body: bytes, now: float) -> None:
        if keyed is not None:
            self.ledger.keep_answer(keyed.key, StoredAnswer(keyed.fingerprint, status, body), now)
