"""What the simulator's ledger says was held, taken, let go and given back, against what the events record of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from aggregates.operation import ENDED, NOT_EXECUTED, Kind, Operation, OperationState
from aggregates.payment import Payment
from gateways.simulator.ledger import Movement, Open
from infra.audit.facts import Facts, Finding
from infra.audit.facts import Kind as FindingKind

S = OperationState
_MOVES: Final[dict[Kind, str]] = {
    "authorize": "authorized",
    "sale": "captured",
    "capture": "captured",
    "void": "released",
    "refund": "refunded",
}


@dataclass(slots=True)
class Intent:
    """All that moved under one id at the PSP. Sums are in minor units; a part of one counts as nothing."""

    psp_id: str
    reference: str
    movements: list[Movement] = field(default_factory=list)

    def sum(self, kind: str) -> int:
        return sum(one.amount_minor or 0 for one in self.movements if one.kind == kind)

    @property
    def taken(self) -> bool:
        return any(one.kind in {"authorized", "captured"} for one in self.movements)

    @property
    def kept(self) -> int:
        """Of the customer's money, held or taken."""
        return max(self.sum("authorized"), self.sum("captured")) - self.sum("released") - self.sum("refunded")


def judge(facts: Facts) -> Iterator[Finding]:
    intents = _intents(facts.movements)
    yield from _limits(intents, facts)
    yield from _able_later(facts)
    payment = facts.recorded.payment if facts.recorded is not None else None
    if payment is None:
        yield from _unrecorded(facts, intents)
        return
    main = _main(payment, intents)
    yield from _attempts(payment, intents, main)
    wrong = [*_movements(facts, payment, intents, main), *_operations(facts, payment)]
    yield from wrong
    if not wrong:
        yield from _sums(facts, payment, main)


def _intents(movements: Sequence[Movement]) -> list[Intent]:
    intents: dict[str, Intent] = {}
    for one in movements:
        intents.setdefault(one.intent_id, Intent(one.intent_id, one.intent_reference)).movements.append(one)
    return list(intents.values())


def _limits(intents: Sequence[Intent], facts: Facts) -> Iterator[Finding]:
    """What no PSP should let happen."""
    for intent in intents:
        authorized, captured, refunded = (intent.sum(kind) for kind in ("authorized", "captured", "refunded"))
        allowed = authorized + authorized * _overcapture_percent(intent, facts) // 100
        if authorized and captured > allowed:
            why = f"{intent.psp_id}: captured {captured}, and only {authorized} was authorized"
            yield Finding("double_charges", why)
        if refunded > captured:
            why = f"{intent.psp_id}: refunded {refunded}, and only {captured} was captured"
            yield Finding("double_charges", why)


def _able_later(facts: Facts) -> Iterator[Finding]:
    """What nobody at AegisPay waits for any more, and the PSP may still do."""
    if facts.recorded is not None and facts.recorded.payment is None:
        return  # that it cannot be replayed is a finding of its own
    payment = facts.recorded.payment if facts.recorded is not None else None
    for one in facts.still_open:
        why = _not_waited_for(facts, payment, one)
        if why is not None:
            yield Finding("able_to_charge_later", f"{one.psp_id} is {one.status} at the PSP, and {why}")


def _not_waited_for(facts: Facts, payment: Payment | None, one: Open) -> str | None:
    operation = payment.operations.get(one.reference) if payment is not None else None
    if payment is None or operation is None:
        return f"no event records {one.reference or 'its operation'}"
    if _in_doubt(facts, payment, operation):
        return None
    if operation.state in ENDED - {S.APPROVED}:
        return f"{operation.id} is {operation.state}"
    taken = payment.taken_by
    if operation.taking and taken is not None and (taken.id, taken.psp_id) != (operation.id, one.psp_id):
        return f"the payment is taken by {taken.id} ({taken.psp_id})"
    return None


def _overcapture_percent(intent: Intent, facts: Facts) -> int:
    payment = facts.recorded.payment if facts.recorded is not None else None
    operation = payment.operations.get(intent.reference) if payment is not None else None
    return operation.psp.overcapture_percent if operation is not None else 0


def _unrecorded(facts: Facts, intents: Sequence[Intent]) -> Iterator[Finding]:
    kept = [intent for intent in intents if intent.taken and intent.kept > 0]
    if len(kept) > 1:
        yield Finding("double_charges", f"{len(kept)} charges: {_listed(kept)}")
    if facts.recorded is None and facts.movements:
        one = facts.movements[0]
        yield Finding("lost_payments", f"{one.kind} at the PSP ({one.psp_id}), and no stream records it")


def _listed(intents: Sequence[Intent]) -> str:
    return ", ".join(f"{intent.psp_id} for {intent.reference or 'no operation'}" for intent in intents)


def _main(payment: Payment, intents: Sequence[Intent]) -> Intent | None:
    """The one that the payment is recorded to be paid by; else the first that keeps anything."""
    taken = payment.taken_by
    if taken is not None:
        ours = [intent for intent in intents if intent.reference == taken.id and intent.taken]
        return next((intent for intent in ours if intent.psp_id == taken.psp_id), ours[0] if ours else None)
    return next((intent for intent in intents if intent.taken and intent.kept > 0), None)


def _attempts(payment: Payment, intents: Sequence[Intent], main: Intent | None) -> Iterator[Finding]:
    for intent in intents:
        if intent is main or not intent.taken:
            continue
        operation = payment.operations.get(intent.reference)
        known = operation is not None and operation.extra and operation.psp_id == intent.psp_id
        if intent.kept <= 0:
            if known:
                yield Finding(
                    "extra_charges_returned", f"{intent.psp_id} for {intent.reference} was given back"
                )
        elif known and operation is not None and _being_returned(payment, operation):
            why = f"{intent.psp_id} for {intent.reference} is an extra charge that is not given back yet"
            # Of a payment that goes on, `unsettled` names the operation that gives it back.
            yield Finding("in_doubt", why, "extra_charge")
        elif main is None:
            yield Finding("double_charges", f"{intent.psp_id} for {intent.reference} besides what was paid")
        else:
            yield Finding("double_charges", f"2 charges: {_listed([main, intent])}")


def _being_returned(payment: Payment, extra: Operation) -> bool:
    """By an operation that may still succeed, or by a person who was called."""
    returns = [o for o in payment.operations.values() if o.extra and o.target == extra.id]
    return any(o.open or o.id in payment.retries or o.id in payment.frozen_by for o in returns)


def _movements(
    facts: Facts, payment: Payment, intents: Sequence[Intent], main: Intent | None
) -> Iterator[Finding]:
    for intent in intents:
        for one in intent.movements:
            operation = payment.operations.get(one.reference)
            if operation is None and not (payment.authorization_expired and one.kind == "released"):
                if intent is main or not _by_hand(payment, intent, one):
                    why = f"{one.kind} {one.psp_id} is for {one.reference or 'no operation'}"
                    yield Finding("lost_payments", f"{why}, which no event records")
            elif operation is None:
                continue  # it lapsed at the PSP
            elif _MOVES[operation.kind] == one.kind:
                if not _in_doubt(facts, payment, operation):
                    yield from _as_recorded(payment, operation, intent, one)
            elif not _follows(payment, operation, one):
                why = f"the PSP {one.kind} {one.amount_minor} for {operation.id}, which is a {operation.kind}"
                yield Finding("lost_payments", why)


def _by_hand(payment: Payment, intent: Intent, one: Movement) -> bool:
    """Somebody gave back, at the PSP, what the payment was not to keep."""
    given_back = one.kind in {"released", "refunded"} and intent.kept <= 0
    return intent.reference in payment.operations and given_back


def _in_doubt(facts: Facts, payment: Payment, operation: Operation) -> bool:
    """What is recorded of it is not all that is known of it."""
    return facts.parked is not None or operation.id in payment.frozen_by


def _follows(payment: Payment, operation: Operation, one: Movement) -> bool:
    """What comes beside what a call is for: a last capture lets the rest go, a challenge that was ended what it had led
    to, a sale in several steps holds what it then takes, and lets it go where that fails, an authorization lapses."""
    if one.kind == "authorized":
        return operation.kind == "sale"
    ended = operation.told_to_end or operation.state in NOT_EXECUTED or payment.authorization_expired
    return one.kind == "released" and (operation.kind == "capture" or (operation.taking and ended))


def _as_recorded(payment: Payment, operation: Operation, intent: Intent, one: Movement) -> Iterator[Finding]:
    if operation.state in ENDED - {S.APPROVED}:
        if not operation.taking or intent.kept > 0:
            why = f"{operation.id} is {operation.state}, and the PSP {one.kind} {one.psp_id}"
            yield Finding("lost_payments", why)
        return
    target = None if operation.target is None else payment.operations[operation.target]
    if target is not None and one.intent_reference not in {target.id, target.target}:
        why = f"{operation.id} is about {target.id}, and the PSP did it to {one.intent_reference}"
        yield Finding("content_mismatches", why)
    recorded = operation.approved_minor if operation.state is S.APPROVED else operation.amount.minor
    less = operation.open and one.amount_minor is not None and one.amount_minor <= recorded
    if one.currency != operation.amount.currency or (one.amount_minor != recorded and not less):
        yield Finding(
            "amount_mismatches",
            f"{operation.id} is {recorded} {operation.amount.currency}, "
            f"and the PSP {one.kind} {one.amount_minor} {one.currency}",
        )


def _operations(facts: Facts, payment: Payment) -> Iterator[Finding]:
    """Each that is recorded as done was done, once, under the id that is recorded."""
    for operation in payment.operations.values():
        done = [
            one
            for one in facts.movements
            if one.reference == operation.id and one.kind == _MOVES[operation.kind]
        ]
        if operation.state is S.APPROVED and not _in_doubt(facts, payment, operation):
            yield from _done(operation, done)
        # A second charge under another id is found among the attempts.
        if len(done) > 1 and not operation.taking:
            kind: FindingKind = "double_charges" if operation.kind == "capture" else "amount_mismatches"
            yield Finding(kind, f"{operation.id} was {done[0].kind} {len(done)} times at the PSP")


def _done(operation: Operation, done: Sequence[Movement]) -> Iterator[Finding]:
    if not done:
        why = f"recorded as {_MOVES[operation.kind]} by {operation.id}, and the PSP has nothing of it"
        yield Finding("lost_payments", why)
    elif operation.psp_id is not None and (operation.taking or operation.kind == "refund"):
        names = {one.intent_id if operation.taking else one.psp_id for one in done}
        if operation.psp_id not in names:
            why = f"{operation.id} is recorded as {operation.psp_id}, and at the PSP it is {', '.join(sorted(names))}"
            yield Finding("content_mismatches", why)


def _sums(facts: Facts, payment: Payment, main: Intent | None) -> Iterator[Finding]:
    """Of a payment at rest."""
    in_flight = any(o.open for o in payment.operations.values()) or payment.retries
    if in_flight or payment.frozen or facts.parked is not None:
        return
    total = payment.sums
    intent = main or Intent("", "")
    pairs = {
        "authorized": (total.authorized, intent.sum("authorized") or intent.sum("captured")),
        "captured": (total.captured, intent.sum("captured")),
        "refunded": (total.refunded, intent.sum("refunded")),
    }
    if not payment.authorization_expired:
        pairs["released"] = (total.released, intent.sum("released"))
    for name, (recorded, moved) in pairs.items():
        if recorded != moved:
            yield Finding("amount_mismatches", f"in all {recorded} is recorded as {name}, at the PSP {moved}")
