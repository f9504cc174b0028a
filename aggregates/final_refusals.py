"""Outcomes after which nothing is tried again, whatever the route has: for the payment, or here."""

from collections.abc import Iterable
from typing import Final

from aggregates.hooks import DENIED_BEFORE_SENT
from aggregates.operation import NOT_EXECUTED, Operation, OperationState, Report

_REFUSED_HERE: Final = frozenset(
    {
        "amount_not_expressible",
        "blocked_by_dispute",
        "currency_not_supported",
        DENIED_BEFORE_SENT,
        "invalid_request",
        "more_than_is_left",
        "partial_capture_not_available",
        "statement_text_not_expressible",
        "target_unknown",
        "unexpected_state",
        "void_not_available",
    }
)
"""Codes of ours: the same request would be refused again by the same account."""

_CUSTOMERS: Final = {
    "FIX_INPUT": "the customer has to correct what was entered",
    "REFRESH_TOKEN": "the payment method's token has to be renewed",
}


def final_refusal(operation: Operation, report: Report) -> str | None:
    """Returns why no attempt may follow this one at any account. None: one may."""
    # The merchant's own hook decides about the payment, and not about one account: another would only be a
    # way around it.
    if report.code == DENIED_BEFORE_SENT:
        return f"a hook denied it: {report.detail}"
    if report.state is OperationState.DECLINED_HARD:
        return f"the issuer or the PSP declined it for good: {report.code_text}"
    if report.hint in _CUSTOMERS:
        return f"{_CUSTOMERS[report.hint]}: {report.code_text}"
    if operation.challenged and report.state is OperationState.DECLINED_SOFT:
        return f"another one would challenge the customer again, who may be gone: {report.code_text}"
    if report.hint == "RETRY_WITH_3DS" and operation.three_ds:
        return f"3-D Secure was requested and did not help: {report.code_text}"
    return None


def refused_by(attempts: Iterable[Operation]) -> dict[str, str]:
    """Returns the accounts that would refuse any further attempt of this payment as they did an earlier one,
    each with the reason in words."""
    return {
        one.psp.account: f"it refused this payment for good: {one.code or 'no code'}"
        for one in attempts
        if one.state in NOT_EXECUTED and is_final_here(one.hint, one.code)
    }


def is_final_here(hint: str | None, code: str | None) -> bool:
    """True for a refusal that the same request would get again at the same account."""
    return hint == "CONFIG" or code in _REFUSED_HERE
