"""Decides payment intents; the front commits them together with their responses and events. Its only I/O is
the ledger.
"""

import hmac
from dataclasses import dataclass
from typing import Final

import orjson

from gateways.simulator.core.accounts import Account
from gateways.simulator.core.faults import Do
from gateways.simulator.core.front import Front
from gateways.simulator.core.psp import Response, Turn
from gateways.simulator.core.rows import Moved
from gateways.simulator.stripe import forms, rules
from gateways.simulator.stripe.dialect import api_error, card_error, intent_object, new_id, no_such
from gateways.simulator.stripe.disputes import Disputes
from gateways.simulator.stripe.events import Events
from gateways.simulator.stripe.scenarios import DECLINES, Scenario
from gateways.simulator.stripe.store import Store
from gateways.simulator.stripe.tables import Intent

_CANCELABLE: Final = frozenset({"requires_action", "requires_capture", "requires_payment_method"})
_CAPTURES_MAX: Final = 50  # of one intent, where multicapture is available
_CHALLENGING: Final = frozenset({"any", "challenge"})


@dataclass(frozen=True, slots=True)
class Payments:
    """The intents of every account at Stripe."""

    front: Front
    store: Store
    events: Events
    disputes: Disputes

    def create(self, params: forms.Create, turn: Turn) -> Response:
        """Creates and confirms an intent, with the end that its scenario gives. The response may not know of
        it yet."""
        intent = self._new(params, turn.account, turn.origin, turn.now)
        moved: list[Moved] = []
        early = self._response(intent, turn.do) if params.scenario.charged and intent.failure else None
        if intent.status == "succeeded" or early is not None:
            intent, moved = self._approved(intent._replace(failure=None), turn.now)
        self.store.add_intent(intent)
        self.store.add_movements(intent, moved, turn.now)
        self._store_events(intent, turn)
        self.disputes.expect(intent, turn.now)
        return early or self._response(intent, turn.do)

    def _approved(self, intent: Intent, now: float) -> tuple[Intent, list[Moved]]:
        """The intent once its money is held or taken. A hold lasts as long as the account's option
        `authorization_life_s` sets, else for ever."""
        approved, moved = rules.approved(intent)
        account = self.front.accounts.named("stripe", intent.account)
        life_s = account.number("authorization_life_s") if account is not None else 0
        if life_s and approved.status == "requires_capture":
            approved = approved._replace(settles_at=now + life_s)
        return approved, moved

    def _store_events(self, intent: Intent, turn: Turn | None = None) -> None:
        keyed = turn.keyed if turn is not None else None
        if intent.moves == 1:
            self.events.charge("succeeded", intent, keyed)
        self.events.intent(intent, keyed)

    def _new(self, params: forms.Create, account: Account, origin: str, now: float) -> Intent:
        """The new intent, with the status that it would have if it captured automatically."""
        scenario, failure = params.scenario, self._failure(params, account)
        status: str = scenario.status
        if status == "requires_payment_method" and failure is None:
            status = "succeeded"
        if params.extras.get("request_three_d_secure") in _CHALLENGING:
            status = "requires_action"
        if status == "requires_action" and params.off_session:
            status, failure = "requires_payment_method", "authentication_required"
        intent_id = new_id("pi", now)
        client_secret = f"{intent_id}_secret_{new_id('s', now)}"
        over = account.number("overcapture_percent") if params.manual and params.overcapture else 0
        multicapture = params.manual and params.multicapture and account.flag("multicapture")
        return Intent(
            id=intent_id,
            client_secret=client_secret,
            reference=params.metadata.get("order_ref"),
            amount=params.amount,
            currency=params.currency,
            status=status,
            payment_method=params.payment_method,
            description=params.description,
            metadata=orjson.dumps(params.metadata).decode(),
            return_url=params.return_url,
            action_url=f"{origin}/3d-secure/{client_secret}" if status == "requires_action" else None,
            failure=failure,
            created=int(now),
            settles_at=now + self.front.settles_after_s if status == "processing" else None,
            account=account.name,
            capture_method="manual" if params.manual else "automatic",
            captures_left=_CAPTURES_MAX if multicapture else 1,
            capture_limit=params.amount + params.amount * over // 100,
            listed_from=now + scenario.unlisted_s if scenario.unlisted_s else 0.0,
            extras=orjson.dumps(params.extras).decode() if params.extras else "{}",
        )

    def _failure(self, params: forms.Create, account: Account) -> str | None:
        scenario: Scenario = params.scenario
        declined = self.front.declines(scenario.declines, params.payment, account)
        return scenario.decline if declined else None

    @staticmethod
    def _response(intent: Intent, do: Do | None) -> Response:
        shown = intent_object(intent)
        if intent.status == "requires_payment_method":
            error = card_error(DECLINES[intent.failure or ""], intent.payment_method)
            return api_error(402, error | {"payment_intent": shown})
        return Response.json(200, rules.about_other_money(shown, do))

    def capture(self, intent_id: str, params: forms.Capture, turn: Turn) -> Response:
        """Captures an intent, in part where multicapture allows it. Raises `Refusal` (400, 404)."""
        intent = self.known(turn.account, intent_id, turn.now)
        amount = rules.amount_to_capture(intent, params)
        left = max(intent.capturable - amount, 0)
        operation = rules.operation(intent, params.metadata, turn.keyed)
        moved = [Moved("captured", intent.charge_id or "", operation, amount)] if amount else []
        if params.final and left:
            moved.append(Moved("released", intent.charge_id or "", operation, left))
        metadata = rules.merged(intent.metadata, params.metadata)
        captured = intent._replace(
            status="succeeded" if params.final else intent.status,
            captures_left=0 if params.final else intent.captures_left - 1,
            settles_at=None if params.final else intent.settles_at,
            capturable=0 if params.final else left,
            received=intent.received + amount,
            metadata=metadata,
            charge_metadata=intent.charge_metadata or (intent.metadata if params.metadata else None),
            moves=intent.moves + len(moved),
        )
        response = self._changed(captured, moved, turn)
        self.events.charge("captured", captured, turn.keyed)
        self.events.intent(captured, turn.keyed)
        self.disputes.expect(captured, turn.now)
        return response

    def cancel(self, intent_id: str, reason: str | None, turn: Turn) -> Response:
        """Releases what is not captured. Raises `Refusal` (400, 404)."""
        intent = self.known(turn.account, intent_id, turn.now)
        if intent.status not in _CANCELABLE:
            raise rules.unfit(
                f"You cannot cancel this PaymentIntent because it has a status of {intent.status}.", intent
            )
        operation = rules.operation(intent, {}, turn.keyed)
        ended, moved = rules.released(intent, reason, operation, turn.now)
        response = self._changed(ended, moved, turn)
        self.events.intent(ended, turn.keyed)
        return response

    def _changed(self, intent: Intent, moved: list[Moved], turn: Turn) -> Response:
        self.store.change_intent(intent)
        self.store.add_movements(intent, moved, turn.now)
        return Response.json(200, rules.about_other_money(intent_object(intent), turn.do))

    def finish_challenge(self, client_secret: str, *, passed: bool, now: float) -> Intent | None:
        """Ends a 3-D Secure challenge. None: there is no such challenge. One that has ended stays as it
        ended."""
        intent = self.challenged(client_secret)
        if intent is None or intent.status != "requires_action":
            return intent
        failure = intent.failure if passed else "authentication_failed"
        if failure is None:
            return self._approve(intent, now)
        refused = intent._replace(status="requires_payment_method", action_url=None, failure=failure)
        with self.store.ledger.writing():
            self.store.change_intent(refused)
            self._store_events(refused)
        return refused

    def challenged(self, client_secret: str) -> Intent | None:
        """The intent of this client secret, else None."""
        intent = self.store.intent(client_secret.partition("_secret_")[0])
        if intent is None or not hmac.compare_digest(
            intent.client_secret.encode(), client_secret.encode("utf-8", "surrogateescape")
        ):
            return None
        return intent

    def settle(self, now: float) -> None:
        """Ends intents that were `processing` long enough, and holds that expire, by `now` (Unix seconds)."""
        for intent in self.store.due_to_settle(now):
            if intent.status == "requires_capture":
                self._expire(intent, now)
            else:
                self._approve(intent, now)

    def _approve(self, intent: Intent, now: float) -> Intent:
        approved, moved = self._approved(intent, now)
        with self.store.ledger.writing():
            self.store.change_intent(approved)
            self.store.add_movements(approved, moved, now)
            self._store_events(approved)
            self.disputes.expect(approved, now)
        return approved

    def _expire(self, intent: Intent, now: float) -> None:
        expired, moved = rules.released(intent, "automatic", None, now)
        with self.store.ledger.writing():
            self.store.change_intent(expired)
            self.store.add_movements(expired, moved, now)
            self.events.charge("expired", expired)
            self.events.intent(expired)

    def known(self, account: Account, intent_id: str, now: float, param: str = "intent") -> Intent:
        """The account's intent, after what is due has happened. Raises `Refusal` (404) where there is none.
        `param`: of the request, named in the error."""
        self.settle(now)
        intent = self.store.intent(intent_id)
        if intent is None or intent.account != account.name:
            raise no_such("payment_intent", intent_id, param)
        return intent
