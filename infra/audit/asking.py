"""What was asked for, on Kafka, against what was decided: every command that was acknowledged has left a trace."""

from collections.abc import Iterator

from aggregates.payment import Payment
from infra.audit.facts import Command, Create, Facts, Finding


def judge(facts: Facts) -> Iterator[Finding]:
    recorded, create = facts.recorded, facts.asked.create
    payment = recorded.payment if recorded is not None else None
    if recorded is None:
        yield from _no_stream(facts)
    elif create is None:
        yield Finding("unasked_payments", "a stream, and no command for it on Kafka")
    elif payment is not None:
        yield from _as_asked(create, payment)
    if recorded is None or recorded.broken is None:
        yield from _commands(facts, payment)


def _no_stream(facts: Facts) -> Iterator[Finding]:
    create = facts.asked.create
    if create is None or facts.parked is not None:
        return
    if create.read:
        why = f"its command at {create.place} was acknowledged, and there is no stream"
        yield Finding("lost_payments", why)
    else:
        yield _not_read("create_payment.v1", create.place)


def _not_read(what: str, place: str) -> Finding:
    return Finding("unsettled", f"its {what} at {place} has not been read yet")


def _as_asked(create: Create, payment: Payment) -> Iterator[Finding]:
    recorded = payment.amount
    if (create.amount_minor, create.currency) != (recorded.minor, recorded.currency):
        asked = f"{create.amount_minor} {create.currency}"
        why = f"asked for {asked}, recorded {recorded.minor} {recorded.currency}"
        yield Finding("amount_mismatches", why)
    elif create.fingerprint != payment.fingerprint:
        why = f"the first command at {create.place} asked for something else"
        yield Finding("content_mismatches", why)


def _commands(facts: Facts, payment: Payment | None) -> Iterator[Finding]:
    accepted = payment.commands if payment is not None else {}
    for command in facts.asked.commands.values():
        given = accepted.get(str(command.command_id))
        if given is not None:
            assert payment is not None
            if command.type != "create_payment.v1":
                yield from _done_as_asked(command, given, payment)
        elif not command.read:
            yield _not_read(command.type, command.place)
        elif not _accounted_for(command, facts):
            why = "was acknowledged, and left no event, no refusal and no dead letter"
            yield Finding("lost_payments", f"its {command.type} at {command.place} {why}")
    if payment is not None:
        known = {str(name) for name in facts.asked.commands} | {str(payment.create_command_id)}
        for name in accepted.keys() - known:
            yield Finding("unasked_payments", f"command {name} was carried out, and it is not on Kafka")


def _accounted_for(command: Command, facts: Facts) -> bool:
    waits = facts.parked is not None and command.place in facts.parked.places
    return command.command_id in facts.refused or command.put_aside or waits


def _done_as_asked(command: Command, given: str, payment: Payment) -> Iterator[Finding]:
    if given != command.fingerprint:
        why = f"the {command.type} at {command.place} asked for something else than what was recorded of it"
        yield Finding("content_mismatches", why)
    if command.amount_minor is None or command.type == "resolve_payment.v1":
        return
    for operation in payment.operations.values():
        if operation.command_id == str(command.command_id) and operation.amount.minor != command.amount_minor:
            why = f"{command.type} asked for {command.amount_minor}, and {operation.id} is {operation.amount.minor}"
            yield Finding("amount_mismatches", why)
