"""Stripe's rules: what it allows, and how a call changes an intent. Pure functions."""

import re
from typing import Any, Final

import orjson

from gateways.simulator.core.faults import Do
from gateways.simulator.core.psp import OPERATION, Keyed, Refusal
from gateways.simulator.core.rows import Kind, Moved
from gateways.simulator.stripe import forms
from gateways.simulator.stripe.currencies import CURRENCIES
from gateways.simulator.stripe.dialect import intent_object, invalid
from gateways.simulator.stripe.tables import Intent

_TAG: Final = re.compile(rf"op_({OPERATION})")


def about_other_money(shown: dict[str, Any], do: Do | None) -> dict[str, Any]:
    """The object with the amount or the currency of the fault, else as it is."""
    if do == "wrong_amount":
        names = [name for name in ("amount", "amount_received", "amount_capturable") if shown.get(name)]
        return shown | {name: shown[name] + 100 for name in names}
    if do == "wrong_currency":
        return shown | {"currency": "eur" if shown["currency"] != "eur" else "usd"}
    return shown


def approved(intent: Intent) -> tuple[Intent, list[Moved]]:
    """The intent once its money is held or taken, and the movement."""
    manual = intent.capture_method == "manual"
    now = intent._replace(
        status="requires_capture" if manual else "succeeded",
        action_url=None,
        settles_at=None,
        capturable=intent.amount if manual else 0,
        received=0 if manual else intent.amount,
        captures_left=intent.captures_left if manual else 0,
        moves=intent.moves + 1,
    )
    kind: Kind = "authorized" if manual else "captured"
    return now, [Moved(kind, now.charge_id or "", now.reference, now.amount)]


def as_it_was(intent: Intent) -> Intent:
    """The intent before its last change of status."""
    status = intent.earlier or "processing"
    held = status == "requires_capture"
    return intent._replace(
        status=status,
        capturable=intent.amount if held else 0,
        received=0,
        refunded=0,
        moves=intent.moves if held else 0,
    )


def released(
    intent: Intent, reason: str | None, operation: str | None, now: float
) -> tuple[Intent, list[Moved]]:
    """The intent once what was not captured is released, and the movement; one that was captured in part has
    succeeded."""
    charge_id, left = intent.charge_id or "", intent.capturable
    moved = [Moved("released", charge_id, operation, left)] if left else []
    ended = intent._replace(
        action_url=None, settles_at=None, capturable=0, captures_left=0, moves=intent.moves + len(moved)
    )
    if intent.received:
        return ended._replace(status="succeeded"), moved
    return ended._replace(status="canceled", canceled_at=int(now), cancellation_reason=reason), moved


def amount_to_capture(intent: Intent, params: forms.Capture) -> int:
    """Returns the amount that a capture takes, as Stripe's integer. Raises `Refusal` (400) for what cannot be
    captured."""
    if intent.status == "succeeded":
        text = "The remaining amount on this PaymentIntent could not be captured because the remainder of the authorized amount has been released."
        raise unfit(text, intent)
    if intent.status != "requires_capture":
        text = f"This PaymentIntent could not be captured because it has a status of {intent.status}. Only a PaymentIntent with one of the following statuses may be captured: requires_capture."
        raise unfit(text, intent)
    shown = intent_object(intent)
    if not params.final and intent.captures_left <= 1:
        text = (
            "You can only set final_capture to false where multicapture is available for the PaymentIntent."
        )
        raise invalid(text, param="final_capture", payment_intent=shown)
    amount = intent.capturable if params.amount is None else params.amount
    if amount == 0 and not (params.final and intent.received):
        text = "This value must be greater than or equal to 1."
        raise invalid(text, param="amount", code="parameter_invalid_integer", payment_intent=shown)
    step = CURRENCIES.step(intent.currency.upper())
    if amount % step:
        text = f"Amounts in {intent.currency} must be divisible by {step}."
        raise invalid(text, param="amount_to_capture", code="parameter_invalid_integer")
    if amount > intent.capture_limit - intent.received:
        text = "The payment could not be captured because the requested capture amount is greater than the amount you can capture for this charge."
        raise invalid(text, code="amount_too_large", payment_intent=shown)
    return amount


def unfit(text: str, intent: Intent) -> Refusal:
    """The `Refusal` for an intent whose status does not allow the call."""
    return invalid(text, code="payment_intent_unexpected_state", payment_intent=intent_object(intent))


def merged(metadata: str, more: forms.Metadata) -> str:
    """Returns the metadata after a capture's are merged into them, as JSON; an empty value removes its
    name."""
    if not more:
        return metadata
    merged: forms.Metadata = orjson.loads(metadata) | more
    return orjson.dumps({name: value for name, value in merged.items() if value}).decode()


def operation(intent: Intent, metadata: forms.Metadata, keyed: Keyed | None) -> str | None:
    """The operation of AegisPay's that a call is for: by its tag in the metadata, else by its key; else
    None."""
    payment = (intent.reference or "").partition("-")[0]
    tags = [tag[1] for name in metadata if (tag := _TAG.fullmatch(name)) is not None]
    if payment and len(tags) == 1:
        return f"{payment}-{tags[0]}"
    return None if keyed is None else keyed.operation
