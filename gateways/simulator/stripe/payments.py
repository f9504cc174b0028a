"""What happens to payment intents: decided and committed here, before anybody is answered. No I/O but the ledger."""

import hmac
from dataclasses import dataclass, field
from typing import Final

import orjson

from gateways.simulator.accounts import CAPTURES_MAX, Account, Accounts
from gateways.simulator.faults import Do, Spent
from gateways.simulator.ledger import Ledger, StoredAnswer
from gateways.simulator.rows import Intent, Moved
from gateways.simulator.stripe import forms, rules
from gateways.simulator.stripe.dialect import StripeError, card_error, intent_object, new_id, no_such
from gateways.simulator.stripe.rules import Turn
from gateways.simulator.stripe.scenarios import DECLINES, SETTLES_AFTER_S, Scenario

_CANCELABLE: Final = frozenset({"requires_action", "requires_capture", "requires_payment_method"})
_CHALLENGING: Final = frozenset({"any", "challenge"})

Answer = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Payments:
    ledger: Ledger
    accounts: Accounts
    spent: Spent = field(default_factory=Spent)

    def create(self, asked: forms.Create, turn: Turn, origin: str) -> Answer:
        """The intent, its first movement and the stored answer in one transaction."""
        intent = self._asked(asked, turn.account, origin, turn.now)
        moved: list[Moved] = []
        if intent.status == "succeeded":
            intent, moved = rules.approved(intent)
        answer = self._answer(intent, turn.do)
        with self.ledger.writing():
            self.ledger.add_intent(intent)
            self.ledger.add_movements(intent, moved, turn.now)
            self.keep(turn, *answer)
        return answer

    def _asked(self, asked: forms.Create, account: Account, origin: str, now: float) -> Intent:
        """With the status that it would have if it captured automatically."""
        scenario, failure = asked.scenario, self._failure(asked, account)
        status: str = scenario.status
        if status == "requires_payment_method" and failure is None:
            status = "succeeded"
        if asked.extras.get("request_three_d_secure") in _CHALLENGING:
            status = "requires_action"
        if status == "requires_action" and asked.off_session:
            status, failure = "requires_payment_method", "authentication_required"
        intent_id = new_id("pi", now)
        client_secret = f"{intent_id}_secret_{new_id('s', now)}"
        over = account.overcapture_percent if asked.manual and asked.overcapture else 0
        return Intent(
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
            action_url=f"{origin}/3d-secure/{client_secret}" if status == "requires_action" else None,
            failure=failure,
            created=int(now),
            settles_at=now + SETTLES_AFTER_S if status == "processing" else None,
            account=account.name,
            capture_method="manual" if asked.manual else "automatic",
            captures_left=CAPTURES_MAX if asked.manual and asked.multicapture and account.multicapture else 1,
            capture_limit=asked.amount + asked.amount * over // 100,
            listed_from=now + scenario.unlisted_s if scenario.unlisted_s else 0.0,
            extras=orjson.dumps(asked.extras).decode() if asked.extras else "{}",
        )

    def _failure(self, asked: forms.Create, account: Account) -> str | None:
        scenario: Scenario = asked.scenario
        if scenario.at_first and not self.accounts.is_first(account.name):
            return None
        if scenario.declines is not None and not self.spent.take(asked.payment, scenario.declines):
            return None
        return scenario.decline

    @staticmethod
    def _answer(intent: Intent, do: Do | None) -> Answer:
        shown = intent_object(intent)
        if intent.status == "requires_payment_method":
            error = card_error(DECLINES[intent.failure or ""], intent.payment_method)
            return 402, StripeError(402, error | {"payment_intent": shown}).body
        return 200, orjson.dumps(rules.about_other_money(shown, do))

    def capture(self, intent_id: str, asked: forms.Capture, turn: Turn) -> Answer:
        intent = self.known(turn.account, intent_id, turn.now)
        amount = rules.amount_to_capture(intent, asked)
        left = max(intent.capturable - amount, 0)
        operation = rules.operation(intent, asked.metadata, turn.keyed)
        moved = [Moved("captured", intent.charge_id or "", operation, amount)] if amount else []
        if asked.final and left:
            moved.append(Moved("released", intent.charge_id or "", operation, left))
        metadata = rules.merged(intent.metadata, asked.metadata)
        captured = intent._replace(
            status="succeeded" if asked.final else intent.status,
            captures_left=0 if asked.final else intent.captures_left - 1,
            capturable=0 if asked.final else left,
            received=intent.received + amount,
            metadata=metadata,
            charge_metadata=intent.charge_metadata or (intent.metadata if asked.metadata else None),
            moves=intent.moves + len(moved),
        )
        return self._changed(captured, moved, turn)

    def cancel(self, intent_id: str, reason: str | None, turn: Turn) -> Answer:
        """What is not captured is let go. An intent that was captured in part has succeeded then."""
        intent = self.known(turn.account, intent_id, turn.now)
        if intent.status not in _CANCELABLE:
            raise rules.unfit(
                f"You cannot cancel this PaymentIntent because it has a status of {intent.status}.", intent
            )
        operation = rules.operation(intent, {}, turn.keyed)
        moved = (
            [Moved("released", intent.charge_id or "", operation, intent.capturable)]
            if intent.capturable
            else []
        )
        ended = intent._replace(
            action_url=None, capturable=0, captures_left=0, moves=intent.moves + len(moved)
        )
        if intent.received:
            ended = ended._replace(status="succeeded")
        else:
            ended = ended._replace(status="canceled", canceled_at=int(turn.now), cancellation_reason=reason)
        return self._changed(ended, moved, turn)

    def _changed(self, intent: Intent, moved: list[Moved], turn: Turn) -> Answer:
        answer = 200, orjson.dumps(rules.about_other_money(intent_object(intent), turn.do))
        with self.ledger.writing():
            self.ledger.change_intent(intent)
            self.ledger.add_movements(intent, moved, turn.now)
            self.keep(turn, *answer)
        return answer

    def finish_challenge(self, client_secret: str, *, passed: bool, now: float) -> Intent | None:
        """After 3-D Secure. None for an unknown challenge; one that has ended stays as it ended."""
        intent = self.challenged(client_secret)
        if intent is None or intent.status != "requires_action":
            return intent
        failure = intent.failure if passed else "authentication_failed"
        if failure is None:
            return self._approve(intent, now)
        refused = intent._replace(status="requires_payment_method", action_url=None, failure=failure)
        self.ledger.change_intent(refused)
        return refused

    def challenged(self, client_secret: str) -> Intent | None:
        intent = self.ledger.intent(client_secret.partition("_secret_")[0])
        if intent is None or not hmac.compare_digest(
            intent.client_secret.encode(), client_secret.encode("utf-8", "surrogateescape")
        ):
            return None
        return intent

    def settle(self, now: float) -> None:
        """Intents that were `processing` long enough."""
        for intent in self.ledger.due_to_settle(now):
            self._approve(intent, now)

    def _approve(self, intent: Intent, now: float) -> Intent:
        approved, moved = rules.approved(intent)
        with self.ledger.writing():
            self.ledger.change_intent(approved)
            self.ledger.add_movements(approved, moved, now)
        return approved

    def known(self, account: Account, intent_id: str, now: float, param: str = "intent") -> Intent:
        self.settle(now)
        intent = self.ledger.intent(intent_id)
        if intent is None or intent.account != account.name:
            raise no_such("payment_intent", intent_id, param)
        return intent

    def keep(self, turn: Turn, status: int, body: bytes) -> None:
        if turn.keyed is not None:
            stored = StoredAnswer(turn.keyed.fingerprint, status, body)
            self.ledger.keep_answer(turn.keyed.account, turn.keyed.key, stored, turn.now)
