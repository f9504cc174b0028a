"""No bytes at all may raise, nor approve anything else than was asked for."""

import itertools
import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateways.braintree.adapter import Braintree
from gateways.contract import Call, Gateway
from tests.gateways.braintree.says import (
    AUTHORIZE,
    CALL,
    CAPTURE,
    PRIVATE_KEY,
    REFERENCE,
    REFUND_ALL,
    REFUND_ID,
    REFUND_PART,
    TRANSACTION_ID,
    VOID,
    answer,
    authorized,
    captured,
    charged,
    declined,
    error,
    failed,
    held,
    money,
    node,
    refund,
    refunded,
    rejected,
    returned,
    reversed_as,
    search,
    transaction,
)

BRAINTREE: Gateway = Braintree()
MUTATIONS = 10_000
TRUE_ANSWERS: list[tuple[Call, list[Any]]] = [
    (
        CALL,
        [
            charged(transaction()),
            charged(declined()),
            charged(rejected("DUPLICATE", duplicateOf={"id": "b", "orderId": REFERENCE})),
            search(transaction()),
            search(transaction(), declined()),
            node("Transaction", transaction()),
            failed(error(legacyCode="91564")),
        ],
    ),
    (AUTHORIZE, [authorized(held()), search(held("SETTLED", "4.00")), node("Transaction", held("SETTLED", "4.00"))]),
    (CAPTURE, [captured(held("SETTLING", "4.00")), node("Transaction", held("SETTLED", "4.00")), node("Transaction", held())]),
    (VOID, [reversed_as("Transaction", held("VOIDED")), reversed_as("Refund", returned()), node("Transaction", held("VOIDED"))]),
    (REFUND_PART, [refunded(refund()), node("Transaction", held("SETTLED", refunds=[refund()])), node("Refund", refund())]),
    (
        REFUND_ALL,
        [
            reversed_as("Transaction", held("VOIDED")),
            reversed_as("Refund", returned()),
            node("Transaction", held("SETTLED", refunds=[returned()])),
            node("Transaction", held("VOIDED")),
        ],
    ),
]  # fmt: skip
LIKELY: list[Any] = [
    *("AUTHORIZED", "SETTLED", "VOIDED", "PROCESSOR_DECLINED", "TELEPORTED", "Refund", "Transaction"),
    *(
        "10.99",
        "4.00",
        "1099",
        "USD",
        "EUR",
        REFERENCE,
        AUTHORIZE.reference,
        REFUND_PART.reference,
        "another",
    ),
    *(TRANSACTION_ID, REFUND_ID, "4111111111111111", PRIVATE_KEY, "\ud7ff\u0000", "x" * 3000, ""),
    *(0, 10.99, -1, 2**63, 1e300, True, None, {}, [], [[]], money("4.00"), [transaction()], {"id": "b"}),
]


def places(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in inner:
        yield (*path, name)
        yield from places(value, (*path, name))


def put(body: Any, path: tuple[Any, ...], value: Any) -> None:
    node = body
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = deepcopy(value)


def objects(body: Any) -> Iterator[dict[str, Any]]:
    if isinstance(body, dict):
        yield body
    for one in body.values() if isinstance(body, dict) else body if isinstance(body, list) else ():
        yield from objects(one)


def shows(call: Call, said: dict[str, Any]) -> bool:
    """Whether this object by itself says that the call was done as it was asked for."""
    status, amount, order_id = said.get("status"), said.get("amount"), said.get("orderId")
    taken = status in ("SUBMITTED_FOR_SETTLEMENT", "SETTLING", "SETTLED", "SETTLEMENT_CONFIRMED")
    match call.kind:
        case "sale":
            return taken and order_id == REFERENCE and amount == money()
        case "authorize":
            history = said.get("statusHistory")
            events = [one for one in history if isinstance(one, dict)] if isinstance(history, list) else []
            was_held = any((e.get("status"), e.get("amount")) == ("AUTHORIZED", money()) for e in events)
            holds = status == "AUTHORIZED" and amount == money()
            return order_id == AUTHORIZE.reference and (holds or was_held)
    target = said.get("id") == TRANSACTION_ID and order_id == AUTHORIZE.reference
    if call.kind == "capture":
        return target and taken and amount == money("4.00")
    released = target and amount == money() and status in ("VOIDED", "AUTHORIZATION_EXPIRED")
    if call.kind == "void":
        return released
    whole = call == REFUND_ALL
    asked = (AUTHORIZE.reference, money()) if whole else (call.reference, money("4.00"))
    given = (
        taken and said.get("refundedTransaction") == {"id": TRANSACTION_ID} and (order_id, amount) == asked
    )
    return given or (whole and released)


def check(call: Call, status: int, body: bytes) -> None:
    said = answer(body, status)
    known = replace(call, psp_id=REFUND_ID if call.kind == "refund" else TRANSACTION_ID)
    for outcome in (
        BRAINTREE.outcome(call, said),
        BRAINTREE.found(call, said),
        BRAINTREE.found(known, said),
        BRAINTREE.cancelled(known, said),
    ):
        if outcome is None:
            continue
        if outcome.kind == "APPROVED":
            assert any(shows(call, one) for one in objects(orjson.loads(body)))
            assert (outcome.amount_minor, outcome.currency) == (call.amount_minor, "USD")
        if outcome.kind.startswith("DECLINED"):
            assert status == 200
        assert "4111111111111111" not in outcome.model_dump_json()


@pytest.mark.parametrize(("call", "seeds"), TRUE_ANSWERS)
def test_no_one_change_of_a_true_answer_approves_what_was_not_asked(call: Call, seeds: list[Any]):
    for seed in seeds:
        for path, value in itertools.product(places(seed), LIKELY):
            body = deepcopy(seed)
            put(body, path, value)
            check(call, 200, orjson.dumps(body))


def test_ten_thousand_answers_with_several_changes_raise_nothing_and_approve_nothing_else():
    chance = random.Random(5)
    for _ in range(MUTATIONS):
        call, seeds = chance.choice(TRUE_ANSWERS)
        body = deepcopy(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            put(body, chance.choice(list(places(body))), chance.choice(LIKELY))
        raw = orjson.dumps(body)
        if chance.random() < 0.2:
            raw = raw[: chance.randrange(len(raw))]
        check(call, chance.choice([200, 200, 200, 200, 302, 401, 429, 500]), raw)


@pytest.mark.parametrize(
    "body", [b"[" * 5000, b'{"data": {"node": {"id": "\\ud800"}}}', b"\xff\xfe", b'{"errors": []}']
)
@pytest.mark.parametrize("call", [call for call, _ in TRUE_ANSWERS])
def test_an_answer_made_to_hurt_hurts_nobody(call: Call, body: bytes):
    for status in (200, 400, 503):
        check(call, status, body)
