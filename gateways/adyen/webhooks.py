"""Adyen's standard webhooks. Invariant: each item is signed, and only what its signature covers decides.

The reason is not covered: a declined authorisation is a soft decline whatever it is. An event of
something that we did not request, e.g. a capture in the Customer Area, names what it was done to, and what
moved.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from aggregates.operation import CHARGE_ATTEMPTS, Kind, kind_of
from commands.balances import Balances
from commands.card_data import holds_pan
from commands.messages import Outcome
from commands.notices import Notice
from gateways.adyen import codes, disputes, responses, signatures
from gateways.contract import Webhook, WebhookKeys, WebhookRefused
from gateways.wire import redaction
from gateways.wire.json import json_object
from gateways.wire.outcomes import move

_DONE: Final = {"capture": "captured", "refund": "refunded"}
_ITEMS_MAX: Final = 1000
_EVENT: Final = re.compile(r"[A-Z][A-Z0-9_]{0,59}")
_EVENT_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class SignedItem:
    """The signed fields of an item, as far as they can be read. `kind`: of the operation. `reason`
    is not signed."""

    event: str
    success: bool
    psp_id: str | None
    original: str | None
    reference: str | None
    kind: Kind | None
    money: dict[str, Any]
    reason: str | None  # not signed

    @property
    def payment(self) -> str | None:
        """The authorisation's id."""
        return self.original or self.psp_id


def read(webhook: Webhook, keys: WebhookKeys) -> tuple[Notice, ...] | WebhookRefused:
    """Verifies and reads the items of a webhook. With a login their dates are the PSP's, as the whole body
    is. Source: docs.adyen.com/development-resources/webhooks and the OpenAPI description of Webhooks v1."""
    if keys.logins:
        authorization = webhook.headers.get("authorization")
        if authorization is None:
            return WebhookRefused("unsigned")
        if not signatures.is_logged_in(authorization, keys.logins):
            return WebhookRefused("forged")
    items = _items(json_object(webhook.body).get("notificationItems", False))
    if items is None:
        return WebhookRefused("malformed")
    claims = [signatures.claimed(item) for item in items]
    if any(claim is None for claim in claims):
        return WebhookRefused("unsigned")
    for item, claim in zip(items, claims, strict=True):
        if not signatures.is_signed(item, claim or "", keys.secrets):
            return WebhookRefused("forged")
    found = [_notice(item, keys.options.get("merchant_account")) for item in items]
    notices = [notice for notice in found if notice is not None]
    if len(notices) < len(items):
        return WebhookRefused("malformed")
    if keys.logins:
        return tuple(notices)
    signed = map(signatures.digest, items)
    return tuple(
        replace(notice, signed_as=of if notice.is_reportable else None)
        for notice, of in zip(notices, signed, strict=True)
    )


def _items(value: Any) -> list[Mapping[str, Any]] | None:
    """The items of a webhook. None: it is no list of items. A null counts as an empty list."""
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > _ITEMS_MAX:
        return None
    items = [one.get("NotificationRequestItem") if isinstance(one, dict) else None for one in value]
    readable: list[Mapping[str, Any]] = [item for item in items if isinstance(item, dict)]
    return readable if len(readable) == len(items) else None


def _notice(item: Mapping[str, Any], account: str | None) -> Notice | None:
    event, success, psp_id = item.get("eventCode"), item.get("success"), item.get("pspReference")
    if not isinstance(event, str) or not _EVENT.fullmatch(event) or success not in ("true", "false"):
        return None
    if not isinstance(psp_id, str):
        return None
    fields: dict[str, Any] = {
        "event_id": _event_id(f"{psp_id}:{event}:{success}:{item.get('eventDate', '')}"),
        "event_type": event,
        "at": disputes.moment(item.get("eventDate")),
    }
    if event not in EVENTS:
        return Notice(**fields)
    if account is not None and item.get("merchantAccountCode") != account:
        # A company webhook covers all merchant accounts; an operation of ours at another one is a
        # misconfiguration.
        ours = _signed_item(item, event, success).reference is not None
        return Notice(**fields, **(_alarm("another_merchant_account") if ours else {}))
    if event in disputes.STATES:
        return Notice(**fields, **_dispute(_signed_item(item, event, success), item))
    return Notice(**fields, **_READERS[event](_signed_item(item, event, success)))


def _event_id(value: str) -> str:
    """The id of an event. It holds the event's date too, which is not signed: a capture that failed, and that
    Adyen makes again by itself, is a second CAPTURE of the same reference. Whoever sends the first one
    again with another date makes an event of it too, so that what is signed alike is not believed twice. A
    report's reference is the name of a file, and may be anything."""
    right = _EVENT_ID.fullmatch(value) and not holds_pan(value)
    return value if right else hashlib.sha256(value.encode(errors="replace")).hexdigest()


def _signed_item(item: Mapping[str, Any], event: str, success: str) -> SignedItem:
    reference = item.get("merchantReference")
    name = reference.removesuffix("-x") if isinstance(reference, str) else ""  # -x: of its technical cancel
    kind = kind_of(name)
    return SignedItem(
        event=event,
        success=success == "true",
        psp_id=responses.psp_reference(item.get("pspReference")),
        original=responses.psp_reference(item.get("originalReference")),
        reference=None if kind is None else name,
        kind=kind,
        money=responses.money(item.get("amount")),
        reason=responses.words(item.get("reason")),
    )


def _authorisation(signed: SignedItem) -> dict[str, Any]:
    if signed.kind not in CHARGE_ATTEMPTS or signed.psp_id is None:
        return _of_nobody(signed)
    way = {"reference": signed.reference, "psp_id": signed.psp_id}
    known = {"psp_id": signed.psp_id, **signed.money}
    if not signed.success:
        code, meaning = codes.refusal(None, signed.reason)
        fields = {"code": code, "detail": signed.reason, "unlisted": not meaning.listed, **known}
        return {**way, "outcome": Outcome(kind="DECLINED_SOFT", **fields)}
    if not signed.money:
        return {**way, "outcome": _unknown("amount_unreadable", signed)}
    if signed.kind == "sale":
        pending = Outcome(kind="PENDING", code="authorised", next_step="3", **known)
        return {**way, "outcome": pending}
    return {**way, "outcome": Outcome(kind="APPROVED", **known)}


def _capture(signed: SignedItem) -> dict[str, Any]:
    """The outcome of a capture. A sale keeps the id of its authorisation."""
    if signed.kind not in {"sale", "capture"}:
        return _external("capture", signed)
    return _ended(signed, signed.original if signed.kind == "sale" else signed.psp_id, "capture_failed")


def _refund(signed: SignedItem) -> dict[str, Any]:
    return (
        _external("refund", signed)
        if signed.kind != "refund"
        else _ended(signed, signed.psp_id, "refund_failed")
    )


def _external(kind: Literal["capture", "refund"], signed: SignedItem) -> dict[str, Any]:
    """Reads a move that was made in the Customer Area, under the payment's reference or any: no lookup shows
    it. The payment is found by its id."""
    if not signed.success:
        return {}
    moves = move(kind, signed.psp_id, signed.money.get("amount_minor"))
    update = _unknown(f"{_DONE[kind]}_externally", signed).model_copy(
        update={"balances": Balances(moves=tuple(moves))}
    )
    return {"reference": signed.reference, "psp_id": signed.original, "outcome": update}


def _ended(signed: SignedItem, psp_id: str | None, failed: str) -> dict[str, Any]:
    way = {"reference": signed.reference, "psp_id": psp_id}
    known = {"psp_id": psp_id, **signed.money}
    if signed.psp_id not in {None, psp_id}:
        known["known_as"] = (signed.psp_id,)
    if not signed.success:
        return {**way, "outcome": Outcome(kind="DECLINED_HARD", code=failed, detail=signed.reason, **known)}
    if psp_id is None or not signed.money:
        return {**way, "outcome": _unknown("amount_unreadable", signed)}
    return {**way, "outcome": Outcome(kind="APPROVED", **known)}


def _failed_since(signed: SignedItem) -> dict[str, Any]:
    """The failure of what was reported as done, although the event is a success. Of a refund the money came
    back."""
    expected = {"sale", "capture"} if signed.event == "CAPTURE_FAILED" else {"refund"}
    code = signed.event.lower()
    failed = Outcome(kind="DECLINED_HARD", code=code, detail=signed.reason, **signed.money)
    if signed.kind not in expected:
        # Done externally, or ours under another reference: either is known by its own id.
        return {"psp_id": signed.psp_id, "outcome": failed}
    return {"reference": signed.reference, "outcome": failed}


def _cancellation(signed: SignedItem) -> dict[str, Any]:
    """The outcome of a void by its own reference; by the payment's reference it was cancelled externally."""
    way = {"reference": signed.reference, "psp_id": signed.psp_id}
    match signed.kind, signed.success:
        case "void", True:
            # Its amount is that of the whole payment: what was left is ours to know.
            return {**way, "outcome": Outcome(kind="APPROVED", psp_id=signed.psp_id)}
        case "void", False:
            refused = Outcome(
                kind="DECLINED_HARD", code="cancel_refused", detail=signed.reason, psp_id=signed.psp_id
            )
            return {**way, "outcome": refused}
        case "authorize" | "sale" | None, True:
            return _gone(signed, "cancelled")
        case _, True:
            return _of_nobody(signed)
        case _:
            return {}


def _technical_cancel(signed: SignedItem) -> dict[str, Any]:
    """The outcome of a technical cancel. Adyen's example names the payment's reference, its interface the
    cancel's: either is the operation."""
    if signed.kind not in {"authorize", "sale", None}:
        return _of_nobody(signed)
    if signed.success:
        return _gone(signed, "technical_cancel")
    way = {"reference": signed.reference, "psp_id": signed.original}
    return {**way, "outcome": _unknown("cancel_refused", signed)}


def _expire(signed: SignedItem) -> dict[str, Any]:
    if signed.kind not in {"authorize", "sale", None}:
        return _of_nobody(signed)
    return _gone(signed, "expired") if signed.success else {}


def _gone(signed: SignedItem, code: str) -> dict[str, Any]:
    expired = Outcome(kind="EXPIRED", code=code, psp_id=signed.original, **signed.money)
    return {"reference": signed.reference, "psp_id": signed.original, "outcome": expired}


def _reversal(signed: SignedItem) -> dict[str, Any]:
    """An update without a move, which takes an operator: we send no reversal, and whether it cancelled or
    refunded is not signed."""
    if not signed.success:
        return {}
    update = _unknown("cancelled_or_refunded", signed).model_copy(update={"balances": Balances()})
    return {"reference": signed.reference, "psp_id": signed.original, "outcome": update}


def _dispute(signed: SignedItem, item: Mapping[str, Any]) -> dict[str, Any]:
    """Finds the payment by its reference; where that is not ours, by its id."""
    way = {"reference": signed.reference, "psp_id": signed.original}
    return {**way, **disputes.read(signed.psp_id, signed.event, signed.money, item)}


def _of_nobody(signed: SignedItem) -> dict[str, Any]:
    """An update of what we did not make, or of another reference than we gave it: it may still be known by
    its id."""
    return {
        "reference": signed.reference,
        "psp_id": signed.payment,
        "outcome": _unknown("reference_missing", signed),
    }


def _alarm(code: str, signed: SignedItem | None = None) -> dict[str, Any]:
    return {"outcome": _unknown(code, signed)}


def _unknown(code: str, signed: SignedItem | None) -> Outcome:
    if signed is None:
        return Outcome(kind="UNKNOWN", code=code)
    detail = redaction.joined(", ", signed.event, signed.reference, signed.psp_id, signed.original)
    return Outcome(kind="UNKNOWN", code=code, detail=detail, **signed.money)


_READERS: Final[Mapping[str, Callable[[SignedItem], dict[str, Any]]]] = {
    "AUTHORISATION": _authorisation,
    "CAPTURE": _capture,
    "CAPTURE_FAILED": _failed_since,
    "CANCELLATION": _cancellation,
    "TECHNICAL_CANCEL": _technical_cancel,
    "CANCEL_OR_REFUND": _reversal,
    "REFUND": _refund,
    "REFUND_FAILED": _failed_since,
    "REFUNDED_REVERSED": _failed_since,
    "EXPIRE": _expire,
}
EVENTS: Final = frozenset(_READERS) | frozenset(disputes.STATES)
"""The events that are read. All others are taken and mean nothing to us, a report's among them."""
