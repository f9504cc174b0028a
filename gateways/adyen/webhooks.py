"""Adyen's standard webhooks. Invariant: each item is signed, and only what its signature covers decides.

The reason is not covered: a declined authorisation is a soft decline whatever it says. An event of something that we
did not ask for, e.g. a capture by hand, has no operation to change: its outcome has no way, which is an alarm.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from commands.messages import Outcome
from commands.sensitive import holds_pan
from gateways import scrubbed
from gateways.adyen import answers, codes, disputes, signatures
from gateways.contract import Hook, HookKeys, HookRefused, Notice

_ITEMS_MAX: Final = 1000
_EVENT: Final = re.compile(r"[A-Z][A-Z0-9_]{0,59}")
_EVENT_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")
_REFERENCE: Final = re.compile(r"([0-9a-f]{32}-([ascvr])[0-9]{1,6})(?:-x)?")  # -x: of its technical cancel


@dataclass(frozen=True, slots=True)
class Told:
    """An item's signed fields, as far as they can be read. `letter`: of the operation's kind."""

    event: str
    success: bool
    psp_id: str | None
    original: str | None
    reference: str | None
    letter: str | None
    money: dict[str, Any]
    reason: str | None  # not signed

    @property
    def payment(self) -> str | None:
        """The authorisation's id."""
        return self.original or self.psp_id


def read(hook: Hook, keys: HookKeys) -> tuple[Notice, ...] | HookRefused:
    items = _items(answers.json_object(hook.body).get("notificationItems"))
    if items is None:
        return HookRefused("malformed")
    claims = [signatures.claimed(item) for item in items]
    if any(claim is None for claim in claims):
        return HookRefused("unsigned")
    for item, claim in zip(items, claims, strict=True):
        if not signatures.is_signed(item, claim or "", keys.secrets):
            return HookRefused("forged")
    notices = [_notice(item, keys.options.get("merchant_account")) for item in items]
    if any(notice is None for notice in notices):
        return HookRefused("malformed")
    return tuple(notice for notice in notices if notice is not None)


def _items(said: Any) -> list[Mapping[str, Any]] | None:
    """None where it is no list of items, or an empty one."""
    if not isinstance(said, list) or not 0 < len(said) <= _ITEMS_MAX:
        return None
    items = [one.get("NotificationRequestItem") if isinstance(one, dict) else None for one in said]
    readable: list[Mapping[str, Any]] = [item for item in items if isinstance(item, dict)]
    return readable if len(readable) == len(items) else None


def _notice(item: Mapping[str, Any], account: str | None) -> Notice | None:
    event, success, psp_id = item.get("eventCode"), item.get("success"), item.get("pspReference")
    if not isinstance(event, str) or not _EVENT.fullmatch(event) or success not in ("true", "false"):
        return None
    if not isinstance(psp_id, str):
        return None
    fields: dict[str, Any] = {
        "event_id": _event_id(f"{psp_id}:{event}:{success}"),
        "event_type": event,
        "at": disputes.moment(item.get("eventDate")),
    }
    if event not in EVENTS:
        return Notice(**fields)
    if account is not None and item.get("merchantAccountCode") != account:
        return Notice(**fields, **_alarm("another_merchant_account"))
    if event in disputes.STATES:
        return Notice(**fields, **_dispute(_told(item, event, success), item))
    return Notice(**fields, **_READERS[event](_told(item, event, success)))


def _event_id(said: str) -> str:
    """A report's reference is the name of a file, and may be anything."""
    right = _EVENT_ID.fullmatch(said) and not holds_pan(said)
    return said if right else hashlib.sha256(said.encode(errors="replace")).hexdigest()


def _told(item: Mapping[str, Any], event: str, success: str) -> Told:
    said = item.get("merchantReference")
    found = _REFERENCE.fullmatch(said) if isinstance(said, str) else None
    return Told(
        event=event,
        success=success == "true",
        psp_id=answers.psp_reference(item.get("pspReference")),
        original=answers.psp_reference(item.get("originalReference")),
        reference=None if found is None else found[1],
        letter=None if found is None else found[2],
        money=answers.money(item.get("amount")),
        reason=answers.words(item.get("reason")),
    )


def _authorisation(told: Told) -> dict[str, Any]:
    if told.letter not in {"a", "s"} or told.psp_id is None:
        return _of_nobody(told)
    way = {"reference": told.reference, "psp_id": told.psp_id}
    known = {"psp_id": told.psp_id, **told.money}
    if not told.success:
        refusal = codes.refusal(None, told.reason)
        declined = Outcome(kind="DECLINED_SOFT", code=refusal.code, detail=told.reason, **known)
        return {**way, "outcome": declined}
    if not told.money:
        return {**way, "outcome": _news("amount_unreadable", told)}
    if told.letter == "s":
        pending = Outcome(kind="PENDING", code="authorised", next_step="3", **known)
        return {**way, "outcome": pending}
    return {**way, "outcome": Outcome(kind="APPROVED", **known)}


def _capture(told: Told) -> dict[str, Any]:
    """A sale's own capture: the sale keeps the id of its authorisation."""
    if told.letter not in {"s", "c"}:
        return _alarm("captured_unasked", told)
    return _ended(told, told.original if told.letter == "s" else told.psp_id, "capture_failed")


def _refund(told: Told) -> dict[str, Any]:
    return (
        _alarm("refunded_unasked", told) if told.letter != "r" else _ended(told, told.psp_id, "refund_failed")
    )


def _ended(told: Told, psp_id: str | None, failed: str) -> dict[str, Any]:
    way = {"reference": told.reference, "psp_id": psp_id}
    known = {"psp_id": psp_id, **told.money}
    if not told.success:
        return {**way, "outcome": Outcome(kind="DECLINED_HARD", code=failed, detail=told.reason, **known)}
    if psp_id is None or not told.money:
        return {**way, "outcome": _news("amount_unreadable", told)}
    return {**way, "outcome": Outcome(kind="APPROVED", **known)}


def _failed_since(told: Told) -> dict[str, Any]:
    """After it was said to be done, and although the event is a success. Of a refund the money came back."""
    expected = {"s", "c"} if told.event == "CAPTURE_FAILED" else {"r"}
    code = told.event.lower()
    if told.letter not in expected:
        return _alarm(code, told)
    failed = Outcome(kind="DECLINED_HARD", code=code, detail=told.reason, **told.money)
    return {"reference": told.reference, "outcome": failed}


def _cancellation(told: Told) -> dict[str, Any]:
    """Of a void by its own reference; with the payment's it was cancelled by hand."""
    way = {"reference": told.reference, "psp_id": told.psp_id}
    match told.letter, told.success:
        case "v", True:
            # Its amount is that of the whole payment: what was left is ours to know.
            return {**way, "outcome": Outcome(kind="APPROVED", psp_id=told.psp_id)}
        case "v", False:
            refused = Outcome(
                kind="DECLINED_HARD", code="cancel_refused", detail=told.reason, psp_id=told.psp_id
            )
            return {**way, "outcome": refused}
        case "a" | "s", True:
            return _gone(told, "cancelled")
        case _, True:
            return _of_nobody(told)
        case _:
            return {}


def _technical_cancel(told: Told) -> dict[str, Any]:
    """Adyen's example names the payment's reference, its interface the cancel's: either is the operation."""
    if told.letter not in {"a", "s"}:
        return _of_nobody(told)
    if told.success:
        return _gone(told, "technical_cancel")
    way = {"reference": told.reference, "psp_id": told.original}
    return {**way, "outcome": _news("cancel_refused", told)}


def _expire(told: Told) -> dict[str, Any]:
    if told.letter not in {"a", "s"}:
        return _of_nobody(told)
    return _gone(told, "expired") if told.success else {}


def _gone(told: Told, code: str) -> dict[str, Any]:
    expired = Outcome(kind="EXPIRED", code=code, psp_id=told.original, **told.money)
    return {"reference": told.reference, "psp_id": told.original, "outcome": expired}


def _reversal(told: Told) -> dict[str, Any]:
    """We send none, and what it did, cancel or refund, is not signed."""
    return _alarm("cancelled_or_refunded", told) if told.success else {}


def _dispute(told: Told, item: Mapping[str, Any]) -> dict[str, Any]:
    """Found by the payment's reference; where that is not ours, by its id."""
    minor = told.money.get("amount_minor", 0)
    if told.psp_id is None or minor <= 0:
        return _alarm("dispute_unreadable", told)
    notice = disputes.notice(told.psp_id, told.event, minor, told.money["currency"], item)
    return {"reference": told.reference, "psp_id": told.original, "dispute": notice}


def _of_nobody(told: Told) -> dict[str, Any]:
    """Not made by us, or another reference than we gave it: it may still be known by its id."""
    return {"reference": told.reference, "psp_id": told.payment, "outcome": _news("reference_missing", told)}


def _alarm(code: str, told: Told | None = None) -> dict[str, Any]:
    return {"outcome": _news(code, told)}


def _news(code: str, told: Told | None) -> Outcome:
    if told is None:
        return Outcome(kind="UNKNOWN", code=code)
    about = (told.event, told.reference, told.psp_id, told.original)
    detail = scrubbed.text(", ".join(filter(None, about)))
    return Outcome(kind="UNKNOWN", code=code, detail=detail, **told.money)


_READERS: Final[Mapping[str, Callable[[Told], dict[str, Any]]]] = {
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
"""All others are taken and say nothing to us, a report's among them."""
