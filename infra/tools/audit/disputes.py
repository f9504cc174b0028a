"""Compares what banks took by disputes, in the simulator's ledger, with what the events record of it."""

from collections.abc import Iterator

from aggregates.dispute import Dispute
from aggregates.payment import Payment
from aggregates.status import TAKES
from infra.tools.audit.facts import Facts, Finding
from infra.tools.audit.units import major_units, written


def judge(facts: Facts) -> Iterator[Finding]:
    """Yields a finding for each dispute that differs. An operator's decision may differ from the PSP's and
    is not judged."""
    payment = facts.recorded.payment if facts.recorded is not None else None
    recorded = dict(payment.disputes) if payment is not None else {}
    for one in facts.disputed:
        dispute = recorded.pop(one.dispute_id, None)
        if dispute is None:
            if one.taken or payment is not None:
                reason = f"the bank has taken {written(one.taken, one.currency)} by {one.dispute_id}, and no event records that dispute"
                yield Finding("dispute_mismatches", reason)
        elif dispute.who is None and _taken(dispute) != (one.taken, one.currency):
            reason = (
                f"{one.dispute_id} is recorded as {dispute.state} of {dispute.amount_minor} {dispute.currency}, "
                f"and the bank has taken {written(one.taken, one.currency)}"
            )
            yield Finding("dispute_mismatches", reason)
    yield from _unknown_there(recorded, payment)


def _unknown_there(recorded: dict[str, Dispute], payment: Payment | None) -> Iterator[Finding]:
    for name, dispute in recorded.items():
        if dispute.state in TAKES and dispute.who is None:
            yield Finding(
                "dispute_mismatches",
                f"{name} is recorded as {dispute.state}, and the PSP has no such dispute",
            )


def _taken(dispute: Dispute) -> tuple[object, str]:
    taken = dispute.amount_minor if dispute.state in TAKES else 0
    return major_units(taken, dispute.currency), dispute.currency
