"""Sends no refund above a ceiling, and counts what each PSP account takes."""

from collections import Counter

from commands.hooks import Accept, Lifecycle, Operation, OperationOutcome, Refuse

CEILING_MINOR = 1_000_000
taken: Counter[tuple[str, str]] = Counter()


def before(operation: Operation) -> Accept | Refuse:
    if operation.kind == "refund" and operation.amount_minor > CEILING_MINOR:
        return Refuse("refund_too_large", f"refunds above {CEILING_MINOR} need a second signature")
    return Accept()


def after(operation: Operation, outcome: OperationOutcome) -> None:
    if outcome.outcome == "APPROVED" and operation.kind in {"sale", "capture"}:
        taken[operation.account, operation.currency] += outcome.amount_minor or 0


hook = Lifecycle(name="ceiling", before=before, after=after, on_failure="closed", within_s=0.1)
