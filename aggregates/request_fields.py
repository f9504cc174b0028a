"""The fields that every request to a gateway worker has, in the order of `events.Request`."""

from datetime import datetime
from typing import Any

from aggregates.operation import Kind, Operation
from aggregates.payment_state import PaymentState
from aggregates.routing.accounts import PspAccount


def request_fields(
    payment: PaymentState,
    name: str,
    kind: Kind,
    psp: PspAccount,
    amount_minor: int,
    *,
    step: str,
    target: Operation | None,
    target_minor: int | None,
    final: bool,
    three_ds: bool,
    expires_at: datetime,
    action_until: datetime | None,
    ends_unreached: bool,
    reason: str,
) -> dict[str, Any]:
    """Returns the fields by name. `name`: the operation's id; the rest as in `events.Request`."""
    return {
        "operation_id": name,
        "kind": kind,
        "step": step,
        "gateway": psp.gateway,
        "account": psp.account,
        "merchant_id": payment.merchant_id,
        "amount_minor": amount_minor,
        "currency": payment.amount.currency,
        "payment_method": psp.token(payment.payment_method, payment.payment_methods),
        "description": payment.description,
        "statement_text": payment.statement_text,
        "three_ds": three_ds,
        "stored_credential": payment.stored_credential,
        "target_operation_id": None if target is None else target.id,
        "target_psp_id": None if target is None else target.psp_id,
        "target_minor": target_minor,
        "final": final,
        "multicapture": psp.multicapture,
        "overcapture_percent": psp.overcapture_percent,
        "key_life_s": psp.key_life_s,
        "expires_at": expires_at.isoformat(),
        "action_until": None if action_until is None else action_until.isoformat(),
        "ends_unreached": ends_unreached,
        "reason": reason,
        "segment": payment.segment(kind),
    }
