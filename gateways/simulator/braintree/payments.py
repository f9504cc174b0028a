"""Decides transactions and their refunds. The front commits them together with their responses and webhooks;
its only I/O is the ledger.
"""

from dataclasses import dataclass
from typing import Any, Final

from gateways.simulator.braintree import shown, wire
from gateways.simulator.braintree.currencies import CURRENCIES, half
from gateways.simulator.braintree.declines import decline_type, network_code
from gateways.simulator.braintree.disputes import Disputes
from gateways.simulator.braintree.documents import GraphqlRequest, invalid
from gateways.simulator.braintree.events import Events
from gateways.simulator.braintree.scenarios import of_nonce
from gateways.simulator.braintree.shown import GATEWAY, Kept, into, kept
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.front import Front
from gateways.simulator.core.psp import DashboardAction, Turn, operation_of
from gateways.simulator.core.rows import Kind as MovedKind
from gateways.simulator.core.rows import Moved, Object

TRANSACTION: Final = "transaction"
REFUND: Final = "refund"
_TOOK: Final = frozenset({"AUTHORIZED", "SUBMITTED_FOR_SETTLEMENT", "SETTLEMENT_PENDING", "SETTLED"})
_DUPLICATES_S: Final = 30
_RESPONSES: Final = {
    "1000": "Approved",
    "1004": "Approved for Partial Amount",
    "2000": "Do Not Honor",
    "2015": "Transaction Not Allowed",
    "3000": "Processor Network Unavailable - Try Again",
}


@dataclass(frozen=True, slots=True)
class Payments:
    """The transactions of every account at Braintree."""

    front: Front
    events: Events
    disputes: Disputes

    def pay(self, params: wire.Pay, turn: Turn) -> Object:
        """Creates a transaction with the fate that its scenario gives. Without a key, Braintree rejects the
        same transaction a second time within `duplicate_window_s`."""
        transaction_id, legacy = shown.new_ids(TRANSACTION, turn.now)
        scenario, account = params.scenario, turn.account
        fate = scenario.fate
        if not self.front.declines(scenario.declines, params.payment, account):
            fate = "approved"
        unlisted = turn.now + scenario.unlisted_s if scenario.unlisted_s else 0.0
        one = Object(
            GATEWAY, transaction_id, account.name, TRANSACTION, "AUTHORIZING", params.mills, params.currency,
            turn.now, reference=params.reference, listed_from=unlisted,
            data=shown.written(Kept(legacy, params.nonce, params.merchant_account, fate)),
        )  # fmt: skip
        earlier = None if turn.keyed is not None else self._duplicated(params, turn)
        if earlier is not None:
            of = shown.transaction(earlier, [])
            of.pop("refunds")
            fields: dict[str, Any] = {"gatewayRejectionReason": "DUPLICATE", "duplicateOf": of}
            return self.front.ledger.add(into(one, "GATEWAY_REJECTED", params.mills, turn.now, **fields))
        match fate:
            case "declined":
                fields = {"declineType": decline_type(scenario.code), **_response(scenario.code)}
                return self.front.ledger.add(
                    into(one, "PROCESSOR_DECLINED", params.mills, turn.now, **fields)
                )
            case "rejected":
                fields = {"gatewayRejectionReason": scenario.code}
                return self.front.ledger.add(into(one, "GATEWAY_REJECTED", params.mills, turn.now, **fields))
            case "failed":
                return self.front.ledger.add(
                    into(one, "FAILED", params.mills, turn.now, **_response(scenario.code))
                )
            case _:
                return self._approved(
                    one,
                    params,
                    turn,
                    half(params.mills, params.currency) if fate == "partial" else params.mills,
                )

    def _duplicated(self, params: wire.Pay, turn: Turn) -> Object | None:
        window_s = turn.account.number("duplicate_window_s", _DUPLICATES_S)
        if params.reference is None:
            return None
        for other in self.front.ledger.find(
            GATEWAY, turn.account.name, kind=TRANSACTION, reference=params.reference
        ):
            same = (other.mills, other.currency, kept(other).nonce) == (
                params.mills,
                params.currency,
                params.nonce,
            )
            if same and other.status in _TOOK and other.created > turn.now - window_s:
                return other
        return None

    def _approved(self, one: Object, params: wire.Pay, turn: Turn, mills: int) -> Object:
        fields = _response("1004" if mills < params.mills else "1000")
        one = self.front.ledger.add(
            into(one, "AUTHORIZED", mills, turn.now, **fields)._replace(authorized=mills, capture_limit=mills)
        )
        if not params.manual:
            return self._submitted(one, mills, params.reference, turn)
        life_s = turn.account.number("authorization_life_s")
        one = one._replace(settles_at=turn.now + life_s if life_s else None)
        return self.front.ledger.move(one, [Moved("authorized", one.id, one.reference, mills)], turn.now)

    def capture(self, one: Object, params: GraphqlRequest, turn: Turn) -> Object:
        """Submits an authorized transaction for settlement, once. Raises `Refusal`: 91507 (not authorized),
        91522 (too large)."""
        options = params.input.get("transaction")
        mills = wire.amount(options, one.currency, ("input", "transaction", "amount")) or wire.amount(
            params.input, one.currency, ("input", "amount")
        )
        return self._capture(one, mills, operation(params, turn), turn)

    def _capture(self, one: Object, mills: int | None, by: str | None, turn: Turn) -> Object:
        if one.status != "AUTHORIZED":
            raise invalid("Cannot submit for settlement unless status is authorized.", "91507")
        mills = one.authorized if mills is None else mills
        if mills > one.authorized:
            raise invalid("Settlement amount is too large.", "91522")
        return self._submitted(one, mills, by, turn)

    def _submitted(self, one: Object, mills: int, reference: str | None, turn: Turn) -> Object:
        """Captures it for the next settlement, and releases the rest of a hold."""
        fate = kept(one).fate
        captured = 0 if fate in {"settlement_declined", "settlement_pending"} else mills
        moved = [Moved("captured", one.id, reference, mills)] if captured else []
        if one.moves and mills < one.authorized:
            moved.append(Moved("released", one.id, reference, one.authorized - mills))
        status = "SETTLEMENT_PENDING" if fate == "settlement_pending" else "SUBMITTED_FOR_SETTLEMENT"
        one = into(one, status, mills, turn.now)
        one = one._replace(
            captured=captured,
            settles_at=turn.now + self.front.settles_after_s,
            may_move=fate == "settlement_pending",
        )
        one = self.front.ledger.move(one, moved, turn.now)
        if captured:
            self.disputes.expect(one, mills, turn.now)
        return one

    def reverse(self, one: Object, params: GraphqlRequest, turn: Turn) -> Object:
        """Voids the transaction, or refunds all of it, whichever it allows. Returns the transaction or the
        refund."""
        return self._reverse(one, operation(params, turn), turn)

    def _reverse(self, one: Object, by: str | None, turn: Turn) -> Object:
        amount = shown.amount_of(one)
        if one.status == "SETTLED":
            if one.refunded:
                raise invalid("Transaction has already been fully or partially refunded.", "91512")
            return self._give_back(one, amount, one.reference, by, turn)
        if one.status not in _TOOK:
            raise invalid(
                "Transaction can only be voided if status is authorized or submitted for settlement.", "91504"
            )
        back: MovedKind = "refunded" if one.captured else "released"
        moved = [Moved(back, one.id, by, amount)] if one.captured or one.moves else []
        one = into(one, "VOIDED", amount, turn.now)._replace(
            refunded=one.captured, settles_at=None, may_move=False
        )
        return self.front.ledger.move(one, moved, turn.now)

    def refund(self, one: Object, params: GraphqlRequest, turn: Turn) -> Object:
        """Refunds a settled transaction, all or a part. Raises `Refusal` with Braintree's code where it
        cannot."""
        sent = params.input.get("refund")
        mills = wire.amount(sent, one.currency, ("input", "refund", "amount"))
        own = (sent or {}).get("orderId")
        return self._refund(one, mills, own or one.reference, operation(params, turn) or own, turn)

    def _refund(
        self, one: Object, mills: int | None, reference: str | None, by: str | None, turn: Turn
    ) -> Object:
        if one.status != "SETTLED":
            raise invalid("Cannot refund transaction unless it is settled.", "91506")
        left = one.captured - one.refunded
        if left <= 0:
            raise invalid("Transaction has already been fully refunded.", "91512")
        mills = left if mills is None else mills
        if mills > left:
            raise invalid("Refund amount is too large.", "91521", ("input", "refund", "amount"))
        return self._give_back(one, mills, reference, by, turn)

    def dashboard(self, one: Object, action: DashboardAction, turn: Turn) -> None:
        """Does what the control panel offers. A refund there has the order id of what it refunds."""
        mills = None if action.minor is None else CURRENCIES.mills(action.minor, one.currency)
        match action.do:
            case "capture":
                self._capture(one, mills, None, turn)
            case "cancel":
                self._reverse(one, None, turn)
            case "refund":
                self._refund(one, mills, one.reference, None, turn)

    def _give_back(
        self, one: Object, mills: int, reference: str | None, by: str | None, turn: Turn
    ) -> Object:
        refund_id, legacy = shown.new_ids(REFUND, turn.now)
        of = kept(one)
        fails = of_nonce(of.nonce).refund_fails
        refund = Object(
            GATEWAY, refund_id, one.account, REFUND, "AUTHORIZING", mills, one.currency, turn.now,
            reference=reference, parent=one.id, payment=one.id, settles_at=turn.now + self.front.settles_after_s,
            data=shown.written(Kept(legacy, of.nonce, of.merchant_account, "failed" if fails else "approved")),
        )  # fmt: skip
        refund = self.front.ledger.add(into(refund, "SUBMITTED_FOR_SETTLEMENT", mills, turn.now))
        moved = [] if fails else [Moved("refunded", refund_id, by, mills)]
        self.front.ledger.move(one._replace(refunded=one.refunded + mills), moved, turn.now)
        return refund

    def settle(self, now: float) -> None:
        """Does what is due by `now` (Unix seconds), each object in a transaction of its own."""
        for one in self.front.ledger.due_to_settle(GATEWAY, now):
            with self.front.ledger.writing():
                if one.kind == TRANSACTION:
                    self._settled(one, now)
                elif one.kind == REFUND:
                    self._refund_settled(one, now)
                else:
                    self.disputes.settled(one, now)

    def _settled(self, one: Object, now: float) -> None:
        mills, fate, moved = shown.amount_of(one), kept(one).fate, list[Moved]()
        done = one._replace(settles_at=None, may_move=False)
        held = [Moved("released", one.id, None, mills)] if one.moves else []
        if one.status == "AUTHORIZED":
            self.front.ledger.move(into(done, "AUTHORIZATION_EXPIRED", mills, now), held, now)
            return
        if fate == "settlement_declined":
            done = self.front.ledger.move(
                into(done, "SETTLEMENT_DECLINED", mills, now, **_response("4001")), held, now
            )
            self.events.transaction("transaction_settlement_declined", done, now)
            return
        if one.status == "SETTLEMENT_PENDING":
            moved = [Moved("captured", one.id, one.reference, mills)]
            done = done._replace(captured=mills)
        done = self.front.ledger.move(into(done, "SETTLED", mills, now), moved, now)
        self.events.transaction("transaction_settled", done, now)

    def _refund_settled(self, one: Object, now: float) -> None:
        done = one._replace(settles_at=None)
        if kept(one).fate != "failed":
            self.front.ledger.change(into(done, "SETTLED", one.mills, now))
            return
        fields: dict[str, Any] = {"declineType": "HARD", **_response("2015")}
        refund = self.front.ledger.change(into(done, "PROCESSOR_DECLINED", one.mills, now, **fields))
        of = self.front.ledger.one(GATEWAY, one.parent or "")
        assert of is not None
        self.front.ledger.change(of._replace(refunded=of.refunded - one.mills))
        self.events.transaction("refund_failed", refund, now)

    def known(self, account: Account, object_id: str, kind: str | None = None) -> Object | None:
        """The account's transaction or refund, else None. `kind`: only this one."""
        one = self.front.ledger.one(GATEWAY, object_id)
        if (
            one is None
            or one.account != account.name
            or one.kind not in ({kind} if kind else {TRANSACTION, REFUND})
        ):
            return None
        return one

    def refunds_of(self, one: Object) -> list[Object]:
        """The transaction's refunds, newest first."""
        return self.front.ledger.find(GATEWAY, one.account, kind=REFUND, parent=one.id)


def operation(params: GraphqlRequest, turn: Turn) -> str | None:
    """The operation of AegisPay's that a mutation is for: by its key, else by its `clientMutationId`."""
    if turn.keyed is not None:
        return turn.keyed.operation
    called = params.input.get("clientMutationId")
    return operation_of(called) if isinstance(called, str) else None


def _response(code: str) -> dict[str, Any]:
    network = network_code(code)
    shown = {} if network is None else {"networkResponse": {"code": network}}
    return {"processorResponse": {"legacyCode": code, "message": _RESPONSES.get(code, "Declined")}} | shown
