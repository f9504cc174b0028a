"""Compares the money that the simulator's ledger holds, took, released and refunded with the events'
record of it. All amounts are decimals: the ledger's by the PSP's own table, the events' by ISO 4217."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from aggregates.operation import ENDED, NOT_EXECUTED, Kind, Operation, OperationState, kind_of
from aggregates.payment import Payment
from aggregates.status import TAKES
from gateways.simulator.core.ledger import Movement, Open
from gateways.simulator.core.rows import Kind as Moved
from infra.tools.audit.facts import Facts, Finding
from infra.tools.audit.units import major_units, written

S = OperationState
_MOVES: Final[dict[Kind, Moved]] = {
    "authorize": "authorized",
    "sale": "captured",
    "capture": "captured",
    "void": "released",
    "refund": "refunded",
}
# Moves that the PSP may have made for no operation of ours while the outcome of one of ours is not known.
_BESIDE: Final[dict[Kind, frozenset[Moved]]] = {
    "authorize": frozenset({"captured", "released", "refunded"}),
    "sale": frozenset({"captured", "released", "refunded"}),
    "capture": frozenset({"captured", "released"}),
    "void": frozenset({"captured", "released", "refunded"}),
    "refund": frozenset({"refunded"}),
}


@dataclass(slots=True)
class Intent:
    """Everything that moved under one id at the PSP."""

    psp_id: str
    reference: str
    movements: list[Movement] = field(default_factory=list)

    def sum(self, kind: str) -> Decimal:
        """Returns the total of the movements of this kind."""
        return sum((one.amount for one in self.movements if one.kind == kind), Decimal())

    def of_another(self, kind: str) -> list[Movement]:
        """Returns external movements of this kind, which name no operation of ours."""
        return [one for one in self.movements if one.kind == kind and not one.reference]

    @property
    def taken(self) -> bool:
        """True if money was held or taken."""
        return any(one.kind in {"authorized", "captured"} for one in self.movements)

    @property
    def kept(self) -> Decimal:
        """The customer's money that is still held or taken."""
        return max(self.sum("authorized"), self.sum("captured")) - self.sum("released") - self.sum("refunded")


def judge(facts: Facts) -> Iterator[Finding]:
    """Yields the findings about the payment's money."""
    intents = _intents(facts.movements)
    yield from _limits(intents, facts)
    yield from _able_later(facts)
    payment = facts.recorded.payment if facts.recorded is not None else None
    if payment is None:
        yield from _unrecorded(facts, intents)
        return
    main = _main(payment, intents)
    yield from _attempts(payment, intents, main)
    wrong = [
        *_twice(intents),
        *_movements(facts, payment, intents, main),
        *_operations(facts, payment, intents),
    ]
    yield from wrong
    if not wrong:
        yield from _sums(facts, payment, main)


def _intents(movements: Sequence[Movement]) -> list[Intent]:
    """Groups the movements by the PSP's object. A reference that is no operation's id is another client's
    own, and counts as none."""
    intents: dict[str, Intent] = {}
    for one in movements:
        if kind_of(one.reference) is None:
            one = replace(one, reference="")  # noqa: PLW2901 - the same one
        intents.setdefault(one.intent_id, Intent(one.intent_id, one.intent_reference)).movements.append(one)
    return list(intents.values())


def _limits(intents: Sequence[Intent], facts: Facts) -> Iterator[Finding]:
    """Yields what no PSP should allow: more captured than authorized, or more refunded than captured."""
    for intent in intents:
        authorized, captured, refunded = (intent.sum(kind) for kind in ("authorized", "captured", "refunded"))
        allowed = authorized + authorized * _overcapture_percent(intent, facts) / 100
        if authorized and captured > allowed:
            reason = f"{intent.psp_id}: captured {captured}, and only {authorized} was authorized"
            yield Finding("double_charges", reason)
        if refunded > captured:
            reason = f"{intent.psp_id}: refunded {refunded}, and only {captured} was captured"
            yield Finding("double_charges", reason)


def _twice(intents: Sequence[Intent]) -> Iterator[Finding]:
    """Yields an operation that charged twice under one id at the PSP. A second charge under another id is
    found among the attempts."""
    for intent in intents:
        for (kind, reference), times in Counter((m.kind, m.reference) for m in intent.movements).items():
            if kind in {"authorized", "captured"} and reference and times > 1 and intent.kept > 0:
                yield Finding("double_charges", f"{intent.psp_id}: {kind} {times} times for {reference}")


def _able_later(facts: Facts) -> Iterator[Finding]:
    """Yields what the PSP may still execute although AegisPay no longer waits for it."""
    if facts.recorded is not None and facts.recorded.payment is None:
        return  # that it cannot be replayed is a finding of its own
    payment = facts.recorded.payment if facts.recorded is not None else None
    for one in facts.still_open:
        reason = _not_waited_for(facts, payment, one)
        if reason is not None:
            yield Finding("able_to_charge_later", f"{one.psp_id} is {one.status} at the PSP, and {reason}")


def _not_waited_for(facts: Facts, payment: Payment | None, one: Open) -> str | None:
    operation = payment.operations.get(one.reference) if payment is not None else None
    if payment is None or operation is None:
        return f"no event records {one.reference or 'its operation'}"
    if _in_doubt(facts, payment, operation):
        return None
    if operation.state in ENDED - {S.APPROVED}:
        return f"{operation.id} is {operation.state}"
    taken = payment.approved_attempt
    if (
        operation.is_charge_attempt
        and taken is not None
        and (taken.id, taken.psp_id) != (operation.id, one.psp_id)
    ):
        return f"the payment is taken by {taken.id} ({taken.psp_id})"
    return None


def _overcapture_percent(intent: Intent, facts: Facts) -> int:
    payment = facts.recorded.payment if facts.recorded is not None else None
    operation = payment.operations.get(intent.reference) if payment is not None else None
    return operation.psp.overcapture_percent if operation is not None else 0


def _unrecorded(facts: Facts, intents: Sequence[Intent]) -> Iterator[Finding]:
    yield from _twice(intents)
    kept = [intent for intent in intents if intent.taken and intent.kept > 0]
    if len(kept) > 1:
        yield Finding("double_charges", f"{len(kept)} charges: {_listed(kept)}")
    if facts.recorded is None and facts.movements:
        one = facts.movements[0]
        yield Finding("lost_payments", f"{one.kind} at the PSP ({one.psp_id}), and no stream records it")


def _listed(intents: Sequence[Intent]) -> str:
    return ", ".join(f"{intent.psp_id} for {intent.reference or 'no operation'}" for intent in intents)


def _main(payment: Payment, intents: Sequence[Intent]) -> Intent | None:
    """Returns the intent that pays the payment by the record, or else the first that keeps anything; None:
    nothing does."""
    taken = payment.approved_attempt
    if taken is not None:
        ours = [intent for intent in intents if intent.reference == taken.id and intent.taken]
        return next((intent for intent in ours if intent.psp_id == taken.psp_id), ours[0] if ours else None)
    return next((intent for intent in intents if intent.taken and intent.kept > 0), None)


def _attempts(payment: Payment, intents: Sequence[Intent], main: Intent | None) -> Iterator[Finding]:
    for intent in intents:
        if intent is main or not intent.taken:
            continue
        operation = payment.operations.get(intent.reference)
        known = operation is not None and operation.duplicate_charge and operation.psp_id == intent.psp_id
        lost, held = _disputed(payment, intent.reference)
        if intent.kept - lost <= 0:
            if known:
                how = "was lost to a dispute" if lost else "was given back"
                yield Finding("duplicate_charges_returned", f"{intent.psp_id} for {intent.reference} {how}")
        elif known and operation is not None and (held or _being_returned(payment, operation)):
            text = f"{intent.psp_id} for {intent.reference} is a duplicate charge that is not given back yet"
            # If the payment goes on, `unsettled` names the operation that gives it back.
            yield Finding("in_doubt", text, "duplicate_charge")
        elif main is None:
            yield Finding("double_charges", f"{intent.psp_id} for {intent.reference} besides what was paid")
        else:
            yield Finding("double_charges", f"2 charges: {_listed([main, intent])}")


def _disputed(payment: Payment, operation_id: str) -> tuple[Decimal, bool]:
    """Returns what disputes took of the operation, and whether one that has not ended holds it."""
    taking = [o for o in payment.disputes.values() if o.operation_id == operation_id and o.state in TAKES]
    lost = [major_units(o.amount_minor, o.currency) for o in taking if o.state == "lost"]
    return sum(lost, Decimal()), len(lost) < len(taking)


def _being_returned(payment: Payment, duplicate_charge: Operation) -> bool:
    """True if an operation that may still succeed gives the charge back, or an operator who was called
    may."""
    returns = [
        o for o in payment.operations.values() if o.duplicate_charge and o.target == duplicate_charge.id
    ]
    return any(o.open or o.id in payment.retries or o.id in payment.frozen_by for o in returns)


def _movements(
    facts: Facts, payment: Payment, intents: Sequence[Intent], main: Intent | None
) -> Iterator[Finding]:
    for intent in intents:
        for one in intent.movements:
            operation = payment.operations.get(one.reference)
            if operation is None:
                known = intent is main and (
                    _is_recorded(facts, payment, intent, one) or _is_doubted(facts, one)
                )
                if not known and (intent is main or not _by_hand(payment, intent, one)):
                    reason = f"{one.kind} {one.psp_id} is for {one.reference or 'no operation'}"
                    yield Finding("lost_payments", f"{reason}, which no event records")
            elif one.kind == "authorized" and operation.state in NOT_EXECUTED and intent.kept > 0:
                if not _in_doubt(facts, payment, operation):
                    reason = f"{operation.id} is {operation.state}, and the PSP holds {written(intent.kept, one.currency)} of {one.psp_id}"
                    yield Finding("lost_payments", reason)
            elif _MOVES[operation.kind] == one.kind:
                if not _in_doubt(facts, payment, operation):
                    yield from _as_recorded(payment, operation, intent, one)
            elif not (_follows(payment, operation, one) or _may_be_its_end(facts, payment, operation, one)):
                reason = f"the PSP {one.kind} {written(one.amount, one.currency)} for {operation.id}, which is a {operation.kind}"
                yield Finding("lost_payments", reason)


def _is_recorded(facts: Facts, payment: Payment, intent: Intent, one: Movement) -> bool:
    """True for an external movement, or one after the hold lapsed, if the events record at least as much,
    or if operations whose outcome is unknown may account for it."""
    if one.reference:
        return False
    known = [*_external(payment, one.kind), *_unnamed(facts, payment, intent, one.kind)]
    recorded = sum(o.approved_minor for o in known)
    if one.kind == "released":
        recorded = payment.totals.released
    doubted = sum(
        o.amount.minor
        for o in payment.operations.values()
        if o.state is S.UNKNOWN and one.kind in _BESIDE[o.kind] and _is_about(payment, o, intent)
    )
    moved = sum((m.amount for m in intent.of_another(one.kind)), Decimal())
    return major_units(recorded + doubted, payment.amount.currency) >= moved


def _external(payment: Payment, kind: str) -> list[Operation]:
    return [o for o in payment.operations.values() if o.external and _MOVES[o.kind] == kind]


def _unnamed(facts: Facts, payment: Payment, intent: Intent, kind: str) -> list[Operation]:
    """Returns operations recorded as ours of which the PSP has nothing under our ids, but perhaps the same
    as an external move: it responded to our call with what it found done, and no object of its own shows
    the two apart."""
    objects = {name for one in intent.of_another(kind) for name in _names(one)}
    return [
        o
        for o in payment.operations.values()
        if o.state is S.APPROVED
        and not (o.external or o.is_charge_attempt)
        and _MOVES[o.kind] == kind
        and (o.kind == "void" or o.psp_id is None or o.psp_id in objects)
        and _is_about(payment, o, intent)
        and not any(m.reference == o.id and m.kind == kind for m in facts.movements)
    ]


def _names(one: Movement) -> set[str]:
    """Returns the ids of a movement. A PSP may report a capture under the id of what was captured."""
    return {one.psp_id} if one.kind == "refunded" else {one.psp_id, one.intent_id}


def _is_about(payment: Payment, operation: Operation, intent: Intent) -> bool:
    target = operation if operation.target is None else payment.operations[operation.target]
    return intent.reference in {target.id, target.target}


def _is_doubted(facts: Facts, one: Movement) -> bool:
    """True for an external movement while an operator has to look at the payment, or at the operation that
    it was done to."""
    payment = facts.recorded.payment if facts.recorded is not None else None
    frozen = payment is not None and not payment.frozen_by.isdisjoint(payment.operations)
    return not one.reference and (frozen or facts.parked is not None)


def _may_be_its_end(facts: Facts, payment: Payment, operation: Operation, one: Movement) -> bool:
    """True for money that was released or refunded while the operation's outcome is unknown: a void may
    have found a capture, and refunded it."""
    back = one.kind in {"released", "refunded"} and one.amount <= major_units(
        operation.amount.minor, operation.amount.currency
    )
    return _in_doubt(facts, payment, operation) or (operation.state is S.UNKNOWN and back)


def _by_hand(payment: Payment, intent: Intent, one: Movement) -> bool:
    """True if somebody returned, at the PSP, money that the payment was not to keep."""
    given_back = one.kind in {"released", "refunded"} and intent.kept <= 0
    return intent.reference in payment.operations and given_back


def _in_doubt(facts: Facts, payment: Payment, operation: Operation) -> bool:
    """True while an operator has to look at the operation or its target, or the payment is parked."""
    frozen = {operation.id, operation.target} & payment.frozen_by
    return facts.parked is not None or bool(frozen)


def _follows(payment: Payment, operation: Operation, one: Movement) -> bool:
    """True for what accompanies an operation: a final capture releases the rest, an ended challenge what
    it had led to, a sale in several steps holds what it then takes and releases it where that fails, an
    authorization lapses."""
    if one.kind == "authorized":
        return operation.kind == "sale"
    ended = operation.cancel_sent or operation.state in NOT_EXECUTED or payment.authorization_expired
    return one.kind == "released" and (operation.kind == "capture" or (operation.is_charge_attempt and ended))


def _as_recorded(payment: Payment, operation: Operation, intent: Intent, one: Movement) -> Iterator[Finding]:
    if operation.state in ENDED - {S.APPROVED}:
        if not operation.is_charge_attempt or intent.kept > 0:
            reason = f"{operation.id} is {operation.state}, and the PSP {one.kind} {one.psp_id}"
            yield Finding("lost_payments", reason)
        return
    target = None if operation.target is None else payment.operations[operation.target]
    if target is not None and one.intent_reference not in {target.id, target.target}:
        reason = f"{operation.id} is about {target.id}, and the PSP did it to {one.intent_reference}"
        yield Finding("content_mismatches", reason)
    currency = operation.amount.currency
    minor = operation.approved_minor if operation.state is S.APPROVED else operation.amount.minor
    recorded = major_units(minor, currency)
    less = operation.open and one.amount <= recorded
    if one.currency != currency or (one.amount != recorded and not less):
        text = f"{operation.id} is {recorded} {currency}, and the PSP {one.kind} {written(one.amount, one.currency)}"
        yield Finding("amount_mismatches", text)


def _operations(facts: Facts, payment: Payment, intents: Sequence[Intent]) -> Iterator[Finding]:
    """Yields operations recorded as executed that the PSP did not execute, or not once, or under another
    id."""
    for operation in payment.operations.values():
        if operation.external:
            continue  # under no reference of ours: the sums are compared
        done = [
            one
            for one in facts.movements
            if one.reference == operation.id and one.kind == _MOVES[operation.kind]
        ]
        by_another = any(_stands_for(facts, payment, intent, operation) for intent in intents)
        if operation.state is S.APPROVED and not by_another and not _in_doubt(facts, payment, operation):
            yield from _done(operation, done)
        # Money that was taken twice is a double charge, whatever the payment records of it.
        if len(done) > 1 and _MOVES[operation.kind] in {"released", "refunded"}:
            reason = f"{operation.id} was {done[0].kind} {len(done)} times at the PSP"
            yield Finding("amount_mismatches", reason)


def _stands_for(facts: Facts, payment: Payment, intent: Intent, operation: Operation) -> bool:
    """True if the external movements suffice for everything that is recorded but not under our ids."""
    kind = _MOVES[operation.kind]
    unnamed = _unnamed(facts, payment, intent, kind)
    recorded = sum(o.approved_minor for o in [*unnamed, *_external(payment, kind)])
    moved = sum((one.amount for one in intent.of_another(kind)), Decimal())
    return operation in unnamed and moved >= major_units(recorded, payment.amount.currency)


def _done(operation: Operation, done: Sequence[Movement]) -> Iterator[Finding]:
    if not done:
        reason = f"recorded as {_MOVES[operation.kind]} by {operation.id}, and the PSP has nothing of it"
        yield Finding("lost_payments", reason)
    elif operation.psp_id is not None and (operation.is_charge_attempt or operation.kind == "refund"):
        names = {one.intent_id if operation.is_charge_attempt else one.psp_id for one in done}
        if operation.psp_id not in names:
            reason = f"{operation.id} is recorded as {operation.psp_id}, and at the PSP it is {', '.join(sorted(names))}"
            yield Finding("content_mismatches", reason)


def _sums(facts: Facts, payment: Payment, main: Intent | None) -> Iterator[Finding]:
    """Compares the totals of a settled payment."""
    in_flight = any(o.open for o in payment.operations.values()) or payment.retries
    if in_flight or payment.frozen or facts.parked is not None:
        return
    total, intent = payment.totals, main or Intent("", "")
    pairs = {
        "authorized": (total.authorized, intent.sum("authorized") or intent.sum("captured")),
        "captured": (total.captured, intent.sum("captured")),
        "refunded": (total.refunded, intent.sum("refunded")),
        "released": (total.released, intent.sum("released")),
    }
    for name, (minor, moved) in pairs.items():
        if (recorded := major_units(minor, payment.amount.currency)) != moved:
            text = f"in all {recorded} is recorded as {name}, at the PSP {written(moved, payment.amount.currency)}"
            yield Finding("amount_mismatches", text)
