"""Compares the commands on Kafka with what was decided: every acknowledged command has left a trace."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from aggregates.payment import Payment
from infra.tools.audit.facts import Command, Facts, Finding


def judge(facts: Facts) -> Iterator[Finding]:
    """Yields a finding for each command without a trace, and for each that was decided otherwise than it
    was sent."""
    recorded, create = facts.recorded, facts.create
    payment = recorded.payment if recorded is not None else None
    if recorded is None:
        yield from _no_stream(facts)
    elif create is None:
        yield Finding("unrequested_payments", "a stream, and the command that made it is not on Kafka")
    elif payment is not None:
        yield from _as_requested(create, payment)
    if recorded is None or recorded.broken is None:
        yield from _commands(facts, payment)


def _no_stream(facts: Facts) -> Iterator[Finding]:
    if facts.parked is not None:
        return
    creates = [one for one in facts.requested.creates.values() if not one.put_aside]
    done = [one for one in creates if one.read]
    if done:
        reason = f"its command at {done[0].place} was acknowledged, and there is no stream"
        yield Finding("lost_payments", reason)
    elif creates:
        yield _not_read(creates[0])


def _not_read(command: Command) -> Finding:
    return Finding("unsettled", f"its {command.type} at {command.place} has not been read yet")


def _as_requested(create: Command, payment: Payment) -> Iterator[Finding]:
    recorded = payment.amount
    if (create.amount_minor, create.currency) != (recorded.minor, recorded.currency):
        requested = f"{create.amount_minor} {create.currency}"
        reason = f"requested {requested}, recorded {recorded.minor} {recorded.currency}"
        yield Finding("amount_mismatches", reason)
    elif create.fingerprint != payment.fingerprint:
        reason = f"the command at {create.place}, which made it, has other content"
        yield Finding("content_mismatches", reason)


def _commands(facts: Facts, payment: Payment | None) -> Iterator[Finding]:
    accepted = payment.commands if payment is not None else {}
    sent: dict[UUID, list[Command]] = {}
    # Without a stream the creates are judged together.
    creates = facts.requested.creates.values() if payment is not None else ()
    for command in (*creates, *facts.requested.commands.values()):
        sent.setdefault(command.command_id, []).append(command)
    for command_id, same in sent.items():
        given = accepted.get(str(command_id))
        if given is None:
            yield from _refused(same, facts, payment)
        elif payment is not None and command_id != payment.create_command_id:
            yield from _done_as_requested(same, given, payment)
    if payment is not None:
        known = {str(name) for name in sent} | {str(payment.create_command_id)}
        for name in accepted.keys() - known:
            yield Finding("unrequested_payments", f"command {name} was carried out, and it is not on Kafka")


def _refused(same: Sequence[Command], facts: Facts, payment: Payment | None) -> Iterator[Finding]:
    """Yields a command that was neither accepted nor refused, unless it repeats the create, which leaves
    no trace."""
    for command in same:
        if payment is not None and command.fingerprint == payment.fingerprint:
            continue
        if not command.read:
            yield _not_read(command)
        elif not _accounted_for(command, facts):
            reason = "was acknowledged, and left no event, no refusal and no dead letter"
            yield Finding("lost_payments", f"its {command.type} at {command.place} {reason}")


def _accounted_for(command: Command, facts: Facts) -> bool:
    waits = facts.parked is not None and command.place in facts.parked.places
    return command.command_id in facts.refused or command.put_aside or waits


def _done_as_requested(same: Sequence[Command], given: str, payment: Payment) -> Iterator[Finding]:
    """Compares what was decided with the contents that were sent under one id, of which the first decided
    one counts."""
    command = next((one for one in same if one.fingerprint == given), same[0])
    if given != command.fingerprint:
        reason = f"the {command.type} at {command.place} has other content than what was recorded of it"
        yield Finding("content_mismatches", reason)
    if command.amount_minor is None or command.type in {"resolve_payment.v1", "resolve_dispute.v1"}:
        return
    for operation in payment.operations.values():
        if operation.command_id == str(command.command_id) and operation.amount.minor != command.amount_minor:
            reason = f"{command.type} is for {command.amount_minor}, and {operation.id} is {operation.amount.minor}"
            yield Finding("amount_mismatches", reason)
