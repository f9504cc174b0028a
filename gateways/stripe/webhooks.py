"""Stripe's events. Invariant: nothing is read from a body whose signature is not right.

Source: docs.stripe.com/webhooks (signatures, tolerance) and the event types of 2026-08-26.dahlia. An event
holds its object as it was then; what the event's name and the object's status do not both state only leads
to a query.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from aggregates.operation import CHARGE_ATTEMPTS, KINDS, Kind, kind_of
from commands.balances import Balances
from commands.messages import DisputeState, Outcome
from commands.notices import Notice
from gateways.contract import Webhook, WebhookKeys, WebhookRefused
from gateways.stripe import codes, intents, requests, responses
from gateways.wire import redaction
from gateways.wire.disputes import dispute
from gateways.wire.json import is_int, json_object, moment_of_unix, object_of
from gateways.wire.signatures import hmac_hex, is_any

_TOLERANCE_S: Final = 300  # of age; Stripe's own libraries take any time in the future
_SIGNATURES_MAX: Final = 20
_TIME: Final = re.compile(r"[0-9]{1,12}")
# An inquiry (`warning_`) takes no money, nor does a dispute that was prevented.
_DISPUTES: Final[Mapping[str, DisputeState]] = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "closed",
    "needs_response": "opened",
    "under_review": "opened",
    "won": "won",
    "prevented": "won",
    "lost": "lost",
}


def read(webhook: Webhook, keys: WebhookKeys, now: datetime) -> tuple[Notice, ...] | WebhookRefused:
    """Verifies a webhook and reads its event. Source: docs.stripe.com/webhooks/signature."""
    signed = dict[str, list[str]]()
    for name, value in _items(webhook.headers.get("stripe-signature", "")):
        signed.setdefault(name, []).append(value)
    times, claimed = signed.get("t", []), signed.get("v1", [])
    if len(times) != 1 or not claimed:
        return WebhookRefused("unsigned")
    if not is_any([_signature(webhook.body, times[0], secret) for secret in keys.secrets], claimed):
        return WebhookRefused("forged")
    if not _TIME.fullmatch(times[0]):
        return WebhookRefused("malformed")
    if int(times[0]) < now.timestamp() - _TOLERANCE_S:
        return WebhookRefused("stale")
    return _notices(json_object(webhook.body))


def _items(header: str) -> Iterator[tuple[str, str]]:
    for part in header.split(",", _SIGNATURES_MAX)[:_SIGNATURES_MAX]:
        name, _, value = part.strip().partition("=")
        yield name, value


def _signature(body: bytes, time: str, secret: str) -> str:
    return hmac_hex(secret.encode(), time.encode(errors="replace") + b"." + body)


def _notices(event: Mapping[str, Any]) -> tuple[Notice, ...] | WebhookRefused:
    event_id, kind = redaction.identifier(event.get("id")), redaction.code(event.get("type"))
    data = event.get("data", False)
    entity = data.get("object", False) if isinstance(data, dict) else data
    if event_id is None or kind is None:
        return WebhookRefused("malformed")
    read, fields = _READERS.get(kind), dict[str, Any]()
    if read is not None and entity is not None:
        if not isinstance(entity, dict):
            return WebhookRefused("malformed")
        fields = {} if _is_foreign(entity) else read(kind, entity)
    # The adapter reads nothing of other events: a thin one has no object at all.
    return (Notice(event_id=event_id, event_type=kind, at=moment_of_unix(event.get("created")), **fields),)


def _is_foreign(entity: Mapping[str, Any]) -> bool:
    """True for what names no intent, no charge and nothing of ours."""
    nameless = (
        entity.get("object") != "payment_intent"
        and "payment_intent" in entity
        and _ours(entity, KINDS) is None
    )
    return nameless and _intent_of(entity) is None and _intent_of(entity, "id") is None


def _unexpected(intent: Mapping[str, Any], known: Mapping[str, Any]) -> Outcome:
    return _unknown("unexpected_status", known, unlisted=responses.is_new_status(intent))


def _intent(kind: str, intent: Mapping[str, Any]) -> dict[str, Any]:
    reference, psp_id = _ours(intent, CHARGE_ATTEMPTS), intents.intent_id(intent)
    if reference is None or psp_id is None:
        # Not made by us, or no longer as we made it: it may still be known by its id.
        return {"reference": reference, "psp_id": psp_id, "outcome": _unknown("reference_missing")}
    authorizes = kind_of(reference) == "authorize"
    balances = responses.balances(intent)
    known = {"psp_id": psp_id, **responses.money(intent.get("amount"), intent.get("currency"))}
    known["known_as"] = responses.charge_of(intent, "latest_charge")
    if authorizes and kind == "payment_intent.succeeded":
        # We did it, or somebody did externally: the sums show it, or a lookup.
        return {
            "reference": _last_capture(reference, intent),
            "outcome": _unknown("captured", balances=balances),
        }
    outcome = _INTENTS[kind.rpartition(".")[2]](intent, known | {"balances": balances}, authorizes)
    outcome = outcome or _unexpected(intent, known | {"balances": balances})
    return {"reference": reference, "psp_id": psp_id, "outcome": outcome}


def _succeeded(intent: Mapping[str, Any], known: dict[str, Any], authorizes: bool) -> Outcome | None:
    if authorizes or intent.get("status") != "succeeded":
        return None
    return _approved(intent, known, intent.get("amount_received"))


def _capturable(intent: Mapping[str, Any], known: dict[str, Any], authorizes: bool) -> Outcome | None:
    # After a capture Stripe sends this event again, about the rest.
    untouched = responses.is_amount(intent.get("amount_received"), 0)
    if not authorizes or not untouched or intent.get("status") != "requires_capture":
        return None
    return _approved(intent, known, intent.get("amount_capturable"))


def _approved(intent: Mapping[str, Any], known: dict[str, Any], taken: Any) -> Outcome | None:
    """Returns APPROVED for the whole amount only: a lookup finds a part."""
    amount = intent.get("amount")
    whole = is_int(amount) and amount > 0 and responses.is_amount(taken, amount)
    return Outcome(kind="APPROVED", **known) if whole and known.get("amount_minor") is not None else None


def _last_capture(reference: str, intent: Mapping[str, Any]) -> str:
    """The operation of the last capture in the tags: it may still await its response."""
    tags = [name for name in intent["metadata"] if requests.is_capture_tag(name)]
    last = max(tags, key=lambda name: int(name[4:]), default=None)
    return reference if last is None else f"{reference.partition('-')[0]}-{last.removeprefix('op_')}"


def _failed(intent: Mapping[str, Any], known: dict[str, Any], authorizes: bool) -> Outcome | None:
    error = intent.get("last_payment_error")
    if intent.get("status") != "requires_payment_method" or not isinstance(error, dict):
        return None
    named = {name: redaction.code(error.get(name)) for name in ("advice_code", "decline_code", "code")}
    meaning = codes.meaning(**named)
    return Outcome(
        kind="DECLINED_SOFT" if meaning.verdict == "SOFT" else "DECLINED_HARD",
        code=named["decline_code"] or named["code"] or "declined",
        detail=redaction.text(error.get("message")),
        hint=meaning.hint,
        unlisted=not meaning.listed,
        **responses.issuer(error, intent.get("latest_charge")),
        **known,
    )


def _canceled(intent: Mapping[str, Any], known: dict[str, Any], authorizes: bool) -> Outcome | None:
    if intent.get("status") != "canceled" or not responses.is_amount(intent.get("amount_received"), 0):
        return None
    reason = redaction.code(intent.get("cancellation_reason")) or "no reason given"
    return Outcome(kind="EXPIRED", code="canceled", detail=f"canceled: {reason}", **known)


def _processing(intent: Mapping[str, Any], known: dict[str, Any], authorizes: bool) -> Outcome | None:
    if intent.get("status") != "processing":
        return None
    return Outcome(kind="PENDING", code="processing", **known)


_INTENTS: Final[Mapping[str, Callable[[Mapping[str, Any], dict[str, Any], bool], Outcome | None]]] = {
    "succeeded": _succeeded,
    "amount_capturable_updated": _capturable,
    "payment_failed": _failed,
    "canceled": _canceled,
    "processing": _processing,
}


def _refund(kind: str, refund: Mapping[str, Any]) -> dict[str, Any]:
    psp_id = refund.get("id") if responses.is_id(refund.get("id"), "re_") else None
    way = {"reference": _ours(refund, {"refund"}), "psp_id": psp_id}
    known = {"psp_id": psp_id, **responses.money(refund.get("amount"), refund.get("currency"))}
    if way["reference"] is None or psp_id is None or known.get("amount_minor") is None:
        # Most likely made externally: what it gave back stands in its intent.
        return {"reference": None, "psp_id": _intent_of(refund), "outcome": _unknown("refunded_externally")}
    match refund.get("status"):
        case "succeeded":
            outcome = Outcome(kind="APPROVED", **known)
        case "pending" | "requires_action" as status:
            outcome = Outcome(kind="PENDING", code=status, **known)
        case "failed" | "canceled" as status:
            code = redaction.code(refund.get("failure_reason")) or status
            outcome = Outcome(kind="DECLINED_HARD", code=code, **known)
        case _:
            outcome = _unknown("unexpected_status", known, unlisted=True)
    return {**way, "outcome": outcome}


def _dispute(kind: str, entity: Mapping[str, Any]) -> dict[str, Any]:
    way = {"reference": _ours(entity, CHARGE_ATTEMPTS), "psp_id": _intent_of(entity)}
    money = responses.money(entity.get("amount"), entity.get("currency"))
    read = dispute(
        redaction.identifier(entity.get("id")),
        _state(entity),
        money,
        redaction.code(entity.get("reason")),
        moment_of_unix(object_of(entity.get("evidence_details")).get("due_by")),
    )
    status = _status(entity)
    return {**way, **read, "unlisted": None if status in _DISPUTES else status}


def _state(entity: Mapping[str, Any]) -> DisputeState:
    """The state of a dispute. One that is not known reserves the money."""
    return _DISPUTES.get(_status(entity) or "", "opened")


def _status(entity: Mapping[str, Any]) -> str | None:
    return redaction.code(entity.get("status"))


def _expired(kind: str, charge: Mapping[str, Any]) -> dict[str, Any]:
    """UNKNOWN, so that the intent is queried, whose metadata the charge has."""
    reference, psp_id = _ours(charge, CHARGE_ATTEMPTS), _intent_of(charge, "id")
    return {"reference": reference, "psp_id": psp_id, "outcome": _unknown("expired")}


# Each holds the dispute as it stood then; which of them come depends on the events that the endpoint
# subscribes to.
_DISPUTE_EVENTS: Final = ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")
# The last is the name of the second at endpoints of older versions.
_REFUND_EVENTS: Final = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
_READERS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]]] = {
    **{f"payment_intent.{name}": _intent for name in _INTENTS},
    **dict.fromkeys(_REFUND_EVENTS, _refund),
    **{f"charge.dispute.{name}": _dispute for name in _DISPUTE_EVENTS},
    "charge.expired": _expired,
}


def _ours(entity: Mapping[str, Any], kinds: Collection[Kind]) -> str | None:
    """The reference, where it is one of our operations of these kinds."""
    value = responses.reference(entity)
    return value if isinstance(value, str) and kind_of(value) in kinds else None


def _intent_of(entity: Mapping[str, Any], charge: Literal["charge", "id"] = "charge") -> str | None:
    """The intent's id, or the charge's where the object names no intent. A charge that was made without an
    intent is of another system: nothing of ours has its id."""
    value = entity.get("payment_intent")
    return value if responses.is_id(value, "pi_") else next(iter(responses.charge_of(entity, charge)), None)


def _unknown(
    code: str,
    known: Mapping[str, Any] | None = None,
    *,
    unlisted: bool = False,
    balances: Balances | None = None,
) -> Outcome:
    more = {} if balances is None else {"balances": balances}
    return Outcome(kind="UNKNOWN", code=code, unlisted=unlisted, **(known or {}), **more)
