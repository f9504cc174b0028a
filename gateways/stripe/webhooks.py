"""Stripe's events. Invariant: nothing is read of a body whose signature is not right.

Source: docs.stripe.com/webhooks (signatures, tolerance) and the event types of 2026-08-26.dahlia. An event holds its
object as it was then; what the event's name and the object's status do not both say is news to be asked for.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from commands.messages import Outcome
from gateways import scrubbed
from gateways.contract import DisputeNotice, Hook, HookKeys, HookRefused, Notice
from gateways.stripe import answers, codes, intents

_TOLERANCE_S: Final = 300  # of age; Stripe's own libraries take any time in the future
_SIGNATURES_MAX: Final = 20
_TIME: Final = re.compile(r"[0-9]{1,12}")
_REFERENCE: Final = re.compile(r"[0-9a-f]{32}-([ascvr])[0-9]{1,6}")
_UNTIL: Final = 4_102_444_800  # 2100


def read(hook: Hook, keys: HookKeys, now: datetime) -> tuple[Notice, ...] | HookRefused:
    signed = dict[str, list[str]]()
    for name, value in _items(hook.headers.get("stripe-signature", "")):
        signed.setdefault(name, []).append(value)
    times, signatures = signed.get("t", []), signed.get("v1", [])
    if len(times) != 1 or not signatures:
        return HookRefused("unsigned")
    if not any(_is_signed(hook.body, times[0], signatures, secret) for secret in keys.secrets):
        return HookRefused("forged")
    if not _TIME.fullmatch(times[0]):
        return HookRefused("malformed")
    if int(times[0]) < now.timestamp() - _TOLERANCE_S:
        return HookRefused("stale")
    return _notices(answers.json_object(hook.body))


def _items(header: str) -> Iterator[tuple[str, str]]:
    for part in header.split(",", _SIGNATURES_MAX)[:_SIGNATURES_MAX]:
        name, _, value = part.strip().partition("=")
        yield name, value


def _is_signed(body: bytes, time: str, signatures: list[str], secret: str) -> bool:
    said = time.encode(errors="replace") + b"." + body
    right = hmac.new(secret.encode(), said, hashlib.sha256).hexdigest().encode()
    return any([hmac.compare_digest(right, one.encode(errors="replace")) for one in signatures])  # noqa: C419  # compares each


def _notices(event: Mapping[str, Any]) -> tuple[Notice, ...] | HookRefused:
    event_id, kind = scrubbed.identifier(event.get("id")), scrubbed.code(event.get("type"))
    data = event.get("data")
    told = data.get("object") if isinstance(data, dict) else None
    if event_id is None or kind is None or not isinstance(told, dict):
        return HookRefused("malformed")
    said = _READERS.get(kind, _nothing)(kind, told)
    return (Notice(event_id=event_id, event_type=kind, at=_moment(event.get("created")), **said),)


def _nothing(kind: str, told: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def _intent(kind: str, intent: Mapping[str, Any]) -> dict[str, Any]:
    reference, psp_id = _ours(intent, "as"), intents.intent_id(intent)
    if reference is None or psp_id is None:
        # Not made by us, or no longer as we made it: it may still be known by its id.
        return {"reference": reference, "psp_id": psp_id, "outcome": _news("reference_missing")}
    authorizes = _letter(reference) == "a"
    known = {"psp_id": psp_id, **answers.money(intent.get("amount"), intent.get("currency"))}
    outcome = _INTENTS[kind.rpartition(".")[2]](intent, known, authorizes)
    if authorizes and kind == "payment_intent.succeeded":
        return _captured(reference, intent)
    return {"reference": reference, "psp_id": psp_id, "outcome": outcome or _news("unexpected_status", known)}


def _succeeded(intent: Mapping[str, Any], known: dict[str, Any], authorizes: bool) -> Outcome | None:
    if authorizes or intent.get("status") != "succeeded":
        return None
    return _approved(intent, known, intent.get("amount_received"))


def _capturable(intent: Mapping[str, Any], known: dict[str, Any], authorizes: bool) -> Outcome | None:
    # After a capture it is told again, of the rest.
    untouched = answers.is_amount(intent.get("amount_received"), 0)
    if not authorizes or not untouched or intent.get("status") != "requires_capture":
        return None
    return _approved(intent, known, intent.get("amount_capturable"))


def _approved(intent: Mapping[str, Any], known: dict[str, Any], taken: Any) -> Outcome | None:
    """Only of the whole: a part is for a look-up to tell."""
    amount = intent.get("amount")
    whole = answers.is_int(amount) and amount > 0 and answers.is_amount(taken, amount)
    return Outcome(kind="APPROVED", **known) if whole and known.get("amount_minor") is not None else None


def _captured(reference: str, intent: Mapping[str, Any]) -> dict[str, Any]:
    """An authorization whose last capture is done: captures are tagged, and the last of them may still wait."""
    tags = [name for name in intent["metadata"] if re.fullmatch(r"op_c[0-9]{1,6}", name)]
    last = max(tags, key=lambda name: int(name[4:]), default=None)
    payment = reference.partition("-")[0]
    captured = reference if last is None else f"{payment}-{last.removeprefix('op_')}"
    return {"reference": captured, "outcome": _news("captured")}


def _failed(intent: Mapping[str, Any], known: dict[str, Any], authorizes: bool) -> Outcome | None:
    error = intent.get("last_payment_error")
    if intent.get("status") != "requires_payment_method" or not isinstance(error, dict):
        return None
    said = {name: scrubbed.code(error.get(name)) for name in ("advice_code", "decline_code", "code")}
    meaning = codes.meaning(**said)
    return Outcome(
        kind="DECLINED_SOFT" if meaning.verdict == "SOFT" else "DECLINED_HARD",
        code=said["decline_code"] or said["code"] or "declined",
        detail=scrubbed.text(error.get("message")),
        hint=meaning.hint,
        **known,
    )


def _canceled(intent: Mapping[str, Any], known: dict[str, Any], authorizes: bool) -> Outcome | None:
    if intent.get("status") != "canceled" or not answers.is_amount(intent.get("amount_received"), 0):
        return None
    reason = scrubbed.code(intent.get("cancellation_reason")) or "no reason given"
    if authorizes and reason == "requested_by_customer":
        return None  # most likely our own void, which has an outcome of its own
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
    psp_id = refund.get("id") if answers.is_id(refund.get("id"), "re_") else None
    way = {"reference": _ours(refund, "r"), "psp_id": psp_id}
    known = {"psp_id": psp_id, **answers.money(refund.get("amount"), refund.get("currency"))}
    if way["reference"] is None or psp_id is None or known.get("amount_minor") is None:
        # As with intents: another's, e.g. made by hand, or it may still be known by its id.
        return {**way, "outcome": _news("reference_missing")}
    match refund.get("status"):
        case "succeeded":
            outcome = Outcome(kind="APPROVED", **known)
        case "pending" | "requires_action" as status:
            outcome = Outcome(kind="PENDING", code=status, **known)
        case "failed" | "canceled" as status:
            code = scrubbed.code(refund.get("failure_reason")) or status
            outcome = Outcome(kind="DECLINED_HARD", code=code, **known)
        case _:
            outcome = _news("unexpected_status", known, unlisted=True)
    return {**way, "outcome": outcome}


def _dispute(kind: str, dispute: Mapping[str, Any]) -> dict[str, Any]:
    way = {"reference": _ours(dispute, "as"), "psp_id": _intent_of(dispute)}
    dispute_id, evidence = scrubbed.identifier(dispute.get("id")), dispute.get("evidence_details")
    money = answers.money(dispute.get("amount"), dispute.get("currency"))
    amount_minor = money.get("amount_minor")
    if dispute_id is None or amount_minor is None or amount_minor <= 0:
        # Nothing to look up would tell: it takes a person.
        return {"outcome": _news("dispute_unreadable")}
    due_by = evidence.get("due_by") if isinstance(evidence, dict) else None
    reason = scrubbed.code(dispute.get("reason"))
    notice = DisputeNotice(
        dispute_id, _stands(dispute), amount_minor, money["currency"], reason, _moment(due_by)
    )
    return {**way, "dispute": notice}


def _stands(dispute: Mapping[str, Any]) -> Literal["opened", "won", "lost"]:
    """An inquiry that was closed, or a dispute that was prevented, took no money. What is not known reserves it."""
    match dispute.get("status"):
        case "won" | "warning_closed" | "prevented":
            return "won"
        case "lost":
            return "lost"
        case _:
            return "opened"


def _expired(kind: str, charge: Mapping[str, Any]) -> dict[str, Any]:
    """The charge has the metadata of its intent, which is asked for."""
    reference, psp_id = _ours(charge, "as"), _intent_of(charge)
    return {"reference": reference, "psp_id": psp_id, "outcome": _news("expired")}


_READERS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]]] = {
    **{f"payment_intent.{name}": _intent for name in _INTENTS},
    **dict.fromkeys(("refund.created", "refund.updated", "refund.failed"), _refund),
    **{f"charge.dispute.{name}": _dispute for name in ("created", "updated", "closed")},
    "charge.expired": _expired,
}


def _ours(told: Mapping[str, Any], letters: str) -> str | None:
    """Our operation, of one of these kinds."""
    said = answers.reference(told)
    found = _REFERENCE.fullmatch(said) if isinstance(said, str) else None
    return found[0] if found is not None and found[1] in letters else None


def _letter(reference: str) -> str:
    return reference.partition("-")[2][0]


def _intent_of(told: Mapping[str, Any]) -> str | None:
    said = told.get("payment_intent")
    return said if answers.is_id(said, "pi_") else None


def _news(code: str, known: Mapping[str, Any] | None = None, *, unlisted: bool = False) -> Outcome:
    return Outcome(kind="UNKNOWN", code=code, unlisted=unlisted, **(known or {}))


def _moment(said: Any) -> datetime | None:
    return datetime.fromtimestamp(said, UTC) if answers.is_int(said) and 0 < said < _UNTIL else None
