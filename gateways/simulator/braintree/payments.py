"""What happens to transactions and their refunds: decided here, and committed by the front together with their answers
and webhooks. No I/O but the ledger.
"""

from dataclasses import dataclass
from typing import Any, Final

from gateways.braintree import codes
from gateways.simulator.accounts import Account
from gateways.simulator.braintree import shown, wire
from gateways.simulator.braintree.disputes import Disputes
from gateways.simulator.braintree.documents import Asked, invalid
from gateways.simulator.braintree.events import Events
from gateways.simulator.braintree.scenarios import SETTLES_AFTER_S, of_nonce
from gateways.simulator.braintree.shown import GATEWAY, Kept, into, kept
from gateways.simulator.faults import Spent
from gateways.simulator.ledger import Ledger
from gateways.simulator.psp import Turn
from gateways.simulator.rows import Kind as MovedKind
from gateways.simulator.rows import Moved, Object

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
    ledger: Ledger
    events: Events
    disputes: Disputes
    spent: Spent

    def pay(self, asked: wire.Pay, turn: Turn) -> Object:
        transaction_id, legacy = shown.new_ids(TRANSACTION, turn.now)
        scenario, account = asked.scenario, turn.account
        fate = scenario.fate
        if scenario.declines is not None and not self.spent.take(asked.payment, scenario.declines):
            fate = "approved"
        unlisted = turn.now + scenario.unlisted_s if scenario.unlisted_s else 0.0
        one = Object(
            GATEWAY, transaction_id, account.name, TRANSACTION, "AUTHORIZING", asked.minor, asked.currency,
            turn.now, reference=asked.reference, listed_from=unlisted,
            data=shown.written(Kept(legacy, asked.nonce, asked.merchant_account, fate)),
        )  # fmt: skip
        earlier = None if turn.keyed is not None else self._duplicated(asked, turn)
        if earlier is not None:
            of = shown.transaction(earlier, [])
            of.pop("refunds")
            says: dict[str, Any] = {"gatewayRejectionReason": "DUPLICATE", "duplicateOf": of}
            return self.ledger.add(into(one, "GATEWAY_REJECTED", asked.minor, turn.now, **says))
        match fate:
            case "declined":
                soft = codes.of_processor(scenario.code, None).verdict in {"SOFT", "DUPLICATE"}
                says = {"declineType": "SOFT" if soft else "HARD", **_response(scenario.code)}
                return self.ledger.add(into(one, "PROCESSOR_DECLINED", asked.minor, turn.now, **says))
            case "rejected":
                says = {"gatewayRejectionReason": scenario.code}
                return self.ledger.add(into(one, "GATEWAY_REJECTED", asked.minor, turn.now, **says))
            case "failed":
                return self.ledger.add(into(one, "FAILED", asked.minor, turn.now, **_response(scenario.code)))
            case _:
                return self._approved(
                    one, asked, turn, max(asked.minor // 2, 1) if fate == "partial" else asked.minor
                )

    def _duplicated(self, asked: wire.Pay, turn: Turn) -> Object | None:
        window_s = turn.account.number("duplicate_window_s", _DUPLICATES_S)
        if asked.reference is None:
            return None
        for other in self.ledger.find(
            GATEWAY, turn.account.name, kind=TRANSACTION, reference=asked.reference
        ):
            same = (other.minor, other.currency, kept(other).nonce) == (
                asked.minor,
                asked.currency,
                asked.nonce,
            )
            if same and other.status in _TOOK and other.created > turn.now - window_s:
                return other
        return None

    def _approved(self, one: Object, asked: wire.Pay, turn: Turn, minor: int) -> Object:
        says = _response("1004" if minor < asked.minor else "1000")
        one = self.ledger.add(
            into(one, "AUTHORIZED", minor, turn.now, **says)._replace(authorized=minor, capture_limit=minor)
        )
        if not asked.manual:
            return self._submitted(one, minor, asked.reference, turn)
        life_s = turn.account.number("authorization_life_s")
        one = one._replace(settles_at=turn.now + life_s if life_s else None)
        return self.ledger.move(one, [Moved("authorized", one.id, one.reference, minor)], turn.now)

    def capture(self, one: Object, asked: Asked, turn: Turn) -> Object:
        options = asked.input.get("transaction")
        minor = wire.amount(options, one.currency, ("input", "transaction", "amount")) or wire.amount(
            asked.input, one.currency, ("input", "amount")
        )
        if one.status != "AUTHORIZED":
            raise invalid("Cannot submit for settlement unless status is authorized.", "91507")
        minor = one.authorized if minor is None else minor
        if minor > one.authorized:
            raise invalid("Settlement amount is too large.", "91522")
        return self._submitted(one, minor, operation(asked, turn), turn)

    def _submitted(self, one: Object, minor: int, reference: str | None, turn: Turn) -> Object:
        """Captured for the next settlement; the rest of a hold is let go."""
        fate = kept(one).fate
        captured = 0 if fate in {"settlement_declined", "settlement_pending"} else minor
        moved = [Moved("captured", one.id, reference, minor)] if captured else []
        if one.moves and minor < one.authorized:
            moved.append(Moved("released", one.id, reference, one.authorized - minor))
        status = "SETTLEMENT_PENDING" if fate == "settlement_pending" else "SUBMITTED_FOR_SETTLEMENT"
        one = into(one, status, minor, turn.now)
        one = one._replace(
            captured=captured,
            settles_at=turn.now + SETTLES_AFTER_S,
            may_move=fate == "settlement_pending",
        )
        one = self.ledger.move(one, moved, turn.now)
        if captured:
            self.disputes.expect(one, minor, turn.now)
        return one

    def reverse(self, one: Object, asked: Asked, turn: Turn) -> Object:
        """The transaction, voided, or its refund."""
        by, amount = operation(asked, turn), shown.amount_of(one)
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
        return self.ledger.move(one, moved, turn.now)

    def refund(self, one: Object, asked: Asked, turn: Turn) -> Object:
        said = asked.input.get("refund")
        minor = wire.amount(said, one.currency, ("input", "refund", "amount"))
        if one.status != "SETTLED":
            raise invalid("Cannot refund transaction unless it is settled.", "91506")
        left = one.captured - one.refunded
        if left <= 0:
            raise invalid("Transaction has already been fully refunded.", "91512")
        minor = left if minor is None else minor
        if minor > left:
            raise invalid("Refund amount is too large.", "91521", ("input", "refund", "amount"))
        reference = (said or {}).get("orderId") or one.reference
        return self._give_back(one, minor, reference, operation(asked, turn) or reference, turn)

    def _give_back(
        self, one: Object, minor: int, reference: str | None, by: str | None, turn: Turn
    ) -> Object:
        refund_id, legacy = shown.new_ids(REFUND, turn.now)
        of = kept(one)
        fails = of_nonce(of.nonce).refund_fails
        refund = Object(
            GATEWAY, refund_id, one.account, REFUND, "AUTHORIZING", minor, one.currency, turn.now,
            reference=reference, parent=one.id, payment=one.id, settles_at=turn.now + SETTLES_AFTER_S,
            data=shown.written(Kept(legacy, of.nonce, of.merchant_account, "failed" if fails else "approved")),
        )  # fmt: skip
        refund = self.ledger.add(into(refund, "SUBMITTED_FOR_SETTLEMENT", minor, turn.now))
        moved = [] if fails else [Moved("refunded", refund_id, by, minor)]
        self.ledger.move(one._replace(refunded=one.refunded + minor), moved, turn.now)
        return refund

    def settle(self, now: float) -> None:
        for one in self.ledger.due_to_settle(GATEWAY, now):
            with self.ledger.writing():
                if one.kind == TRANSACTION:
                    self._settled(one, now)
                elif one.kind == REFUND:
                    self._refund_settled(one, now)
                else:
                    self.disputes.settled(one, now)

    def _settled(self, one: Object, now: float) -> None:
        minor, fate, moved = shown.amount_of(one), kept(one).fate, list[Moved]()
        done = one._replace(settles_at=None, may_move=False)
        held = [Moved("released", one.id, None, minor)] if one.moves else []
        if one.status == "AUTHORIZED":
            self.ledger.move(into(done, "AUTHORIZATION_EXPIRED", minor, now), held, now)
            return
        if fate == "settlement_declined":
            done = self.ledger.move(
                into(done, "SETTLEMENT_DECLINED", minor, now, **_response("4001")), held, now
            )
            self.events.transaction("transaction_settlement_declined", done, now)
            return
        if one.status == "SETTLEMENT_PENDING":
            moved = [Moved("captured", one.id, one.reference, minor)]
            done = done._replace(captured=minor)
        done = self.ledger.move(into(done, "SETTLED", minor, now), moved, now)
        self.events.transaction("transaction_settled", done, now)

    def _refund_settled(self, one: Object, now: float) -> None:
        done = one._replace(settles_at=None)
        if kept(one).fate != "failed":
            self.ledger.change(into(done, "SETTLED", one.minor, now))
            return
        says: dict[str, Any] = {"declineType": "HARD", **_response("2015")}
        refund = self.ledger.change(into(done, "PROCESSOR_DECLINED", one.minor, now, **says))
        of = self.ledger.one(GATEWAY, one.parent or "")
        assert of is not None
        self.ledger.change(of._replace(refunded=of.refunded - one.minor))
        self.events.transaction("refund_failed", refund, now)

    def known(self, account: Account, object_id: str, kind: str | None = None) -> Object | None:
        one = self.ledger.one(GATEWAY, object_id)
        if (
            one is None
            or one.account != account.name
            or one.kind not in ({kind} if kind else {TRANSACTION, REFUND})
        ):
            return None
        return one

    def refunds_of(self, one: Object) -> list[Object]:
        return self.ledger.find(GATEWAY, one.account, kind=REFUND, parent=one.id)


def operation(asked: Asked, turn: Turn) -> str | None:
    """AegisPay's own: by its key, else by what it calls the mutation."""
    if turn.keyed is not None:
        return turn.keyed.operation
    called = asked.input.get("clientMutationId")
    return called.rpartition("-")[0] or None if isinstance(called, str) else None


def _response(code: str) -> dict[str, Any]:
    return {"processorResponse": {"legacyCode": code, "message": _RESPONSES.get(code, "Declined")}}
