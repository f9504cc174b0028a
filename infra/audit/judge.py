"""One payment's verdict: pure. Invariant: every way in which two sources can disagree has a finding of its own kind.

In doubt (IN_DOUBT, frozen, parked) is a state that AegisPay names itself: it is listed and is no fault. Until it is
resolved, no charge is expected and one is allowed.
"""

from collections.abc import Iterator
from typing import assert_never

from aggregates.operation import OperationState
from aggregates.payment import RESTING, Status
from infra.audit.facts import Asked, Charge, Facts, Finding, Recorded, Shown


def judge(facts: Facts) -> list[Finding]:
    return [*_charges(facts), *_stream(facts), *_read_model(facts)]


def _charges(facts: Facts) -> Iterator[Finding]:
    if len(facts.charges) > 1:
        listed = ", ".join(f"{charge.psp_id} for {charge.reference}" for charge in facts.charges)
        yield Finding("double_charges", f"{len(facts.charges)} charges: {listed}")
    if facts.recorded is None and facts.charges:
        yield Finding(
            "lost_payments", f"charged at the PSP ({facts.charges[0].psp_id}), and no stream records it"
        )


def _stream(facts: Facts) -> Iterator[Finding]:
    asked, recorded = facts.asked, facts.recorded
    if recorded is None:
        yield from _no_stream(asked, facts.parked)
        return
    if asked is None:
        yield Finding("unasked_payments", "a stream, and no command for it on Kafka")
    doubt = _doubt(recorded, facts.parked)
    if doubt is not None:
        yield Finding("in_doubt", doubt)
    if recorded.broken is not None:
        if facts.parked is None:
            yield Finding("lost_payments", f"its stream cannot be replayed: {recorded.broken}")
        return
    if asked is not None:
        yield from _as_asked(asked, recorded)
    for charge in facts.charges:
        yield from _charged_as_recorded(charge, recorded)
    if doubt is None:
        yield from _outcome(recorded, facts.charges)


def _no_stream(asked: Asked | None, parked: str | None) -> Iterator[Finding]:
    if parked is not None:
        yield Finding("in_doubt", f"parked: {parked}")
    elif asked is not None and asked.read:
        yield Finding(
            "lost_payments", f"its command at {asked.place} was acknowledged, and there is no stream"
        )
    elif asked is not None:
        yield Finding("unsettled", f"its command at {asked.place} has not been read yet")


def _doubt(recorded: Recorded, parked: str | None) -> str | None:
    if parked is not None:
        return f"parked: {parked}"
    if recorded.frozen:
        return "frozen: what the PSP reported contradicts what is recorded; a person has to look"
    if recorded.broken is None and recorded.status is Status.IN_DOUBT:
        open_ones = [name for name, o in recorded.operations.items() if o.state == OperationState.UNKNOWN]
        return f"the outcome of {', '.join(open_ones)} is not known yet"
    return None


def _as_asked(asked: Asked, recorded: Recorded) -> Iterator[Finding]:
    if (asked.amount_minor, asked.currency) != (recorded.amount_minor, recorded.currency):
        yield Finding(
            "amount_mismatches",
            f"asked for {asked.amount_minor} {asked.currency}, recorded {recorded.amount_minor} {recorded.currency}",
        )
    elif asked.fingerprint != recorded.fingerprint:
        yield Finding("content_mismatches", f"the first command at {asked.place} asked for something else")


def _charged_as_recorded(charge: Charge, recorded: Recorded) -> Iterator[Finding]:
    operation = recorded.operations.get(charge.reference)
    if operation is None:
        yield Finding(
            "lost_payments", f"charge {charge.psp_id} is for {charge.reference}, which no event records"
        )
    elif (charge.amount_minor, charge.currency) != (operation.amount_minor, operation.currency):
        yield Finding(
            "amount_mismatches",
            f"{charge.reference} is {operation.amount_minor} {operation.currency}, "
            f"and the PSP charged {charge.amount_minor} {charge.currency}",
        )


def _outcome(recorded: Recorded, charges: list[Charge]) -> Iterator[Finding]:
    match recorded.status:
        case Status.REQUESTED | Status.PROCESSING:
            yield Finding("unsettled", f"it is still {recorded.status}")
        case Status.CAPTURED:
            taken = {charge.reference for charge in charges}
            for name, operation in recorded.operations.items():
                if operation.state == OperationState.APPROVED and name not in taken:
                    yield Finding(
                        "lost_payments", f"recorded as captured by {name}, and the PSP has no such charge"
                    )
            if recorded.captured_minor != recorded.amount_minor:
                yield Finding(
                    "amount_mismatches",
                    f"captured {recorded.captured_minor}, asked for {recorded.amount_minor}",
                )
        case Status.FAILED | Status.REJECTED:
            if charges:
                yield Finding(
                    "lost_payments", f"it is {recorded.status}, and the PSP charged {charges[0].psp_id}"
                )
        case Status.REQUIRES_ACTION | Status.IN_DOUBT:
            pass
        case _:
            assert_never(recorded.status)


def _read_model(facts: Facts) -> Iterator[Finding]:
    recorded, shown = facts.recorded, facts.shown
    if recorded is None or recorded.broken is not None:
        if recorded is None and shown is not None:
            yield Finding(
                "read_model_mismatches", "the read model shows a payment that the event store does not have"
            )
        return
    if shown is None or shown.version == 0:
        if recorded.status in RESTING:
            yield Finding("read_model_mismatches", "the read model does not have it")
        return
    if shown.version < recorded.version and recorded.status not in RESTING:
        return  # on its way: `unsettled` names it
    if (shown.amount_minor, shown.currency) != (recorded.amount_minor, recorded.currency):
        yield Finding(
            "amount_mismatches",
            f"recorded {recorded.amount_minor} {recorded.currency}, "
            f"and the read model shows {shown.amount_minor} {shown.currency}",
        )
    differs = [
        f"{name} is {was!r}, shown as {is_!r}" for name, was, is_ in _compared(recorded, shown) if was != is_
    ]
    if shown.stale:
        differs.append("it is marked stale")
    if differs:
        yield Finding("read_model_mismatches", "; ".join(differs))


def _compared(recorded: Recorded, shown: Shown) -> list[tuple[str, object, object]]:
    fields = ("version", "status", "merchant_id", "customer_id", "captured_minor", "frozen")
    pairs: list[tuple[str, object, object]] = [
        (name, _plain(getattr(recorded, name)), _plain(getattr(shown, name))) for name in fields
    ]
    names = sorted(recorded.operations.keys() | shown.operations.keys())
    return pairs + [(name, recorded.operations.get(name), shown.operations.get(name)) for name in names]


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Status) else value
