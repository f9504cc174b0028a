"""No bytes at all may raise, nor approve anything else than was asked for. The seed is fixed."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from commands.messages import Outcome
from gateways.adyen.adapter import Adyen
from gateways.contract import Call, Gateway, Hook, HookKeys, HookRefused
from tests.gateways.adyen.says import (
    ALL,
    AUTHORIZE,
    CALL,
    HMAC_KEY,
    MODIFICATION,
    PSP_ID,
    answer,
    body_of,
    error,
    item,
    paid,
    received,
    redirected,
    refused,
    signed,
)

ADYEN: Gateway = Adyen()
MUTATED = 10_000
NOW = datetime(2026, 11, 25, tzinfo=UTC)
STATUSES = [200, 201, 204, 302, 400, 401, 409, 422, 429, 500, 503, -1, 999]
LIKELY: list[Any] = [
    *("Authorised", "PartiallyAuthorised", "Refused", "received", "USD", "EUR", "", "0", "704", "101"),
    *(0, -1, 400, 1099, 2**63, 1e308, True, None, {}, [], [[]], {"": None}, "x" * 5000, "4111111111111111"),
    *(CALL.reference, AUTHORIZE.reference, PSP_ID, MODIFICATION, {"value": 400, "currency": "USD"}),
]


def seeds(call: Call) -> list[Any]:
    if call.kind in {"authorize", "sale"} and call.step != "3":
        part = paid(call, "PartiallyAuthorised", amount={"value": 400, "currency": "USD"})
        return [paid(call), paid(call, "Pending"), part, redirected(call), refused("12"), error(422, "704")]
    return [received(call), error(422, "167")]


def mutated(dice: random.Random, body: Any) -> bytes:
    raw = orjson.dumps(changed(dice, body))
    return raw[: dice.randrange(len(raw))] if dice.random() < 0.1 else raw


def changed(dice: random.Random, body: Any) -> Any:
    content = orjson.loads(orjson.dumps(body))
    for _ in range(dice.randint(1, 3)):
        node = content
        while (inner := node[name := dice.choice(sorted(node))]) and isinstance(inner, dict):
            if dice.random() < 0.3:
                break
            node = inner
        if dice.random() < 0.25 and len(node) > 1:
            del node[name]
        else:
            node[name] = orjson.loads(orjson.dumps(dice.choice(LIKELY)))
    return content


def answers(dice: random.Random, call: Call) -> Iterator[tuple[int, bytes]]:
    right = 200 if call.step in "12" and call.kind in {"authorize", "sale"} else 201
    for _ in range(MUTATED // len(ALL) + 1):
        status = right if dice.random() < 0.7 else dice.choice(STATUSES)
        yield status, mutated(dice, dice.choice(seeds(call)))


@pytest.mark.parametrize("call", ALL, ids=lambda call: f"{call.kind}-{call.step}")
def test_no_answer_raises_and_none_approves_what_was_not_asked(call: Call):
    dice = random.Random(2026)
    for status, raw in answers(dice, call):
        headers = {"transient-error": dice.choice(["true", "false", "\0"])} if dice.random() < 0.3 else {}
        said = answer(status, raw, headers)
        for outcome in (ADYEN.outcome(call, said), ADYEN.found(call, said)):
            assert outcome is not None
            if outcome.kind == "APPROVED":
                assert status == 200
                assert shows(call, orjson.loads(raw), outcome)
            if outcome.kind.startswith("DECLINED"):
                assert status in {200, 422}
            assert outcome.psp_id in {None, PSP_ID, MODIFICATION}
        assert ADYEN.cancelled(replace(call, step="x"), said).kind == "UNKNOWN"


def shows(call: Call, body: Any, outcome: Outcome) -> bool:
    """Whether it says by itself that the call was done as it was asked for, or a part of it."""
    asked = (call.kind, body["merchantReference"], body["amount"]["currency"]) == (
        "authorize",
        call.reference,
        "USD",
    )
    minor = body["amount"]["value"]
    whole = body["resultCode"] == "Authorised" and minor == call.amount_minor
    part = body["resultCode"] == "PartiallyAuthorised" and 0 < minor < call.amount_minor
    return asked and (whole or part) and (outcome.amount_minor, outcome.currency) == (minor, "USD")


@pytest.mark.parametrize("body", [b"[" * 5000, b'{"resultCode": "\\ud800"}', b"\xff\xfe", b"1e999"])
@pytest.mark.parametrize("status", [200, 201, 422, 500])
def test_an_answer_made_to_hurt_hurts_nobody(status: int, body: bytes):
    for call in ALL:
        assert ADYEN.outcome(call, answer(status, body)).kind == "UNKNOWN"
    assert isinstance(ADYEN.read_hook(Hook({}, body), HookKeys((HMAC_KEY,), {}), NOW), HookRefused)


EVENTS = ["AUTHORISATION", "CAPTURE", "REFUND", "CANCELLATION", "CHARGEBACK", "TECHNICAL_CANCEL", "EXPIRE"]


def test_no_webhook_raises_not_even_a_rightly_signed_one():
    dice = random.Random(2026)
    keys = HookKeys((HMAC_KEY,), {})
    for _ in range(MUTATED):
        shown = item(dice.choice(EVENTS), dice.choice(ALL).reference, success=dice.random() < 0.7)
        broken = changed(dice, shown)
        if dice.random() < 0.5 and isinstance(broken.get("additionalData", {}), dict):
            broken = signed(broken)
        raw = body_of(broken)
        cut = raw if dice.random() < 0.9 else raw[: dice.randrange(len(raw))]
        said = ADYEN.read_hook(Hook({}, cut), keys, NOW)
        assert isinstance(said, HookRefused | tuple)
