"""No bytes at all may raise, nor approve anything else than was asked for."""

import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final

import orjson
import pytest

from commands.messages import Outcome
from gateways.contract import Call, Gateway, HookRefused
from gateways.paypal.adapter import PayPal
from tests.gateways.paypal.says import (
    AUTHORIZATION_ID,
    AUTHORIZE,
    CAPTURE,
    CREATE,
    CREDENTIALS,
    ORDER,
    ORDER_ID,
    PAYMENT,
    REFUND,
    SALE,
    VOID,
    WALLET,
    answer,
    authorization,
    authorized,
    capture,
    issue,
    order,
    refund,
    sold,
    taken,
    usd,
)
from tests.gateways.paypal.signing import NOW, keys, signed

PAYPAL: Gateway = PayPal()
MUTATIONS: Final = 10_000
STATUSES: Final = (
    200,
    200,
    200,
    201,
    201,
    204,
    302,
    400,
    401,
    403,
    404,
    408,
    409,
    422,
    429,
    500,
    503,
    -1,
    999,
)
WAITS = replace(SALE, psp_id=f"{ORDER}/waiting/2")
CHALLENGE = order("PAYER_ACTION_REQUIRED")
SEEDS: list[tuple[Call, list[Any]]] = [
    (CREATE, [order("CREATED"), order("APPROVED"), issue("INVALID_CURRENCY_CODE"), sold()]),
    (WALLET, [CHALLENGE, order("APPROVED"), order("VOIDED")]),
    (SALE, [sold(), sold(status="DECLINED", processor="5120"), CHALLENGE, issue("INSTRUMENT_DECLINED")]),
    (WAITS, [sold(), CHALLENGE, order("APPROVED"), issue("PAYER_ACTION_REQUIRED", links=CHALLENGE["links"])]),
    (AUTHORIZE, [authorized(), authorized(status="VOIDED"), order("COMPLETED", AUTHORIZE)]),
    (CAPTURE, [capture(), capture("PENDING"), order("COMPLETED", AUTHORIZE, captures=[capture(), taken()])]),
    (
        VOID,
        [
            authorization("VOIDED"),
            issue("PREVIOUSLY_VOIDED"),
            order("COMPLETED", AUTHORIZE, authorizations=[authorization("VOIDED")], captures=[capture()]),
        ],
    ),
    (REFUND, [refund(), refund("FAILED"), order("COMPLETED", AUTHORIZE, refunds=[refund()])]),
]
LIKELY: Final[list[Any]] = [
    *(
        "COMPLETED",
        "CREATED",
        "VOIDED",
        "PENDING",
        "DECLINED",
        "APPROVED",
        "CAPTURED",
        "",
        "USD",
        "EUR",
        "10.99",
    ),
    *(0, 1, -1, 10.99, 2**70, True, None, {}, [], [[]], [{}], "x" * 3000, "\x00", "4111111111111111"),
    *(SALE.reference, AUTHORIZE.reference, CAPTURE.reference, REFUND.reference, f"{PAYMENT}-r9"),
    *(ORDER_ID, AUTHORIZATION_ID, "8MC585209K746392H", usd("10.99"), usd("4.00"), usd("6.99"), usd("-4.00")),
    *({"currency_code": "EUR", "value": "10.99"}, {"issue": "TRANSACTION_REFUSED"}, [capture()], [taken()]),
]


def places(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in inner:
        yield (*path, name)
        yield from places(value, (*path, name))


def changed(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    whole = node = deepcopy(body)
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = value
    return whole


def mutated(chance: random.Random, seed: Any) -> bytes:
    """One to three places replaced; sometimes cut off, or with a byte of another value."""
    body = seed
    for _ in range(chance.randint(1, 3)):
        if paths := list(places(body)):
            body = changed(body, chance.choice(paths), deepcopy(chance.choice(LIKELY)))
    raw = orjson.dumps(body) if _fits(body) else b"{}"
    match chance.randrange(8):
        case 0:
            return raw[: chance.randrange(len(raw) + 1)]
        case 1:
            at = chance.randrange(len(raw))
            return raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :]
        case _:
            return raw


def _fits(body: Any) -> bool:
    try:
        orjson.dumps(body)
    except TypeError:  # 2**70
        return False
    return True


def objects(body: Any) -> Iterator[dict[str, Any]]:
    if isinstance(body, dict):
        yield body
    for one in body.values() if isinstance(body, dict) else body if isinstance(body, list) else ():
        yield from objects(one)


def shows(call: Call, shown: dict[str, Any]) -> bool:
    """Whether this object by itself says that the call was done as it was asked for."""
    status, said = shown.get("status"), shown.get("amount")
    money = said if isinstance(said, dict) else {}
    if call.kind == "void":
        named = [one.get("issue") for one in shown.get("details") or [{}] if isinstance(one, dict)]
        return (shown.get("id"), status) == (AUTHORIZATION_ID, "VOIDED") or "PREVIOUSLY_VOIDED" in named
    value = {1099: "10.99", 400: "4.00"}[call.amount_minor]
    if (money.get("currency_code"), money.get("value")) != ("USD", value):
        return False
    if call.kind == "authorize":
        return status in ("CREATED", "PARTIALLY_CAPTURED", "CAPTURED")
    ours = call.reference in (shown.get("invoice_id"), shown.get("custom_id"))
    if call.kind == "refund":
        return ours and status == "COMPLETED"
    return (ours or call.kind == "sale") and status in ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")


def check(call: Call, status: int, body: bytes) -> None:
    said = answer(status, body, {"paypal-debug-id": "f5a2\x00"})
    outcomes = [PAYPAL.outcome(call, said), PAYPAL.found(call, said), PAYPAL.cancelled(call, said)]
    for outcome in outcomes:
        if outcome is None:
            continue
        assert Outcome.model_validate_json(outcome.model_dump_json()) == outcome
        assert "4111111111111111" not in outcome.model_dump_json()
        if outcome.kind == "APPROVED":
            assert (outcome.amount_minor, outcome.currency) == (call.amount_minor, "USD")
            if (call.kind, status) != ("void", 204):
                assert any(shows(call, one) for one in objects(orjson.loads(body))), (call, status, body)
        if outcome.kind.startswith("DECLINED") or outcome.kind in {"PENDING", "EXPIRED"}:
            assert status in {200, 201, 422}
        if outcome.next_step is not None:
            assert outcome.kind in {"PENDING", "ACTION_REQUIRED"}
            assert call.kind in {"sale", "authorize"}


def test_ten_thousand_mutated_answers_raise_nothing_and_approve_nothing_else():
    chance = random.Random(20261125)
    for _ in range(MUTATIONS):
        call, seeds = chance.choice(SEEDS)
        check(call, chance.choice(STATUSES), mutated(chance, chance.choice(seeds)))


@pytest.mark.parametrize(
    ("call", "seeds"), SEEDS, ids=lambda given: given.kind if isinstance(given, Call) else ""
)
def test_no_one_change_of_a_true_answer_approves_what_was_not_asked(call: Call, seeds: list[Any]):
    for seed in seeds:
        for path in places(seed):
            for value in LIKELY:
                body = changed(seed, path, value)
                if _fits(body):
                    check(call, 422 if "details" in seed else 200, orjson.dumps(body))


@pytest.mark.parametrize(
    "body", [b"[" * 5000, b'{"id": "\\ud800"}', b"\xff" * 100, b"null", b"", orjson.dumps(issue("9" * 5000))]
)
def test_an_answer_made_to_hurt_hurts_nobody(body: bytes):
    for call, _ in SEEDS:
        for status in STATUSES:
            check(call, status, body)


def test_a_webhook_made_to_hurt_hurts_nobody():
    chance = random.Random(7)
    kinds = [
        "PAYMENT.CAPTURE.COMPLETED",
        "PAYMENT.CAPTURE.REFUNDED",
        "CHECKOUT.ORDER.APPROVED",
        "CUSTOMER.DISPUTE.CREATED",
    ]
    dispute = {
        "dispute_id": "PP-1",
        "dispute_amount": usd("1.00"),
        "disputed_transactions": [{"custom": "x"}],
    }
    for _ in range(300):
        resource = chance.choice([capture(), refund(), order("APPROVED"), dispute])
        event = {"id": "WH-1", "event_type": chance.choice(kinds), "resource": resource}
        read = PAYPAL.read_hook(signed(mutated(chance, event)), keys(), NOW)
        assert isinstance(read, HookRefused) or len(read) == 1


def test_planted_secrets_reach_no_outcome():
    for call, seeds in SEEDS:
        for seed in seeds:
            for path in places(seed):
                planted = changed(seed, path, f"Bearer {CREDENTIALS.access_token} sk_{CREDENTIALS.secret}")
                for status in (200, 201, 400, 401, 422, 500):
                    for outcome in (
                        PAYPAL.outcome(call, answer(status, planted)),
                        PAYPAL.found(call, answer(status, planted)),
                    ):
                        assert "PLANTED" not in repr(outcome)
