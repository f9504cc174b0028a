"""No bytes at all may raise, nor approve anything else than was asked for."""

import itertools
import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from commands.messages import Outcome
from gateways.contract import Call, Gateway, HookKeys, HookRefused
from gateways.razorpay.adapter import Razorpay
from tests.gateways.razorpay.says import (
    AUTHORIZE,
    CAPTURE,
    HOOK_SECRET,
    ORDER,
    ORDER_ID,
    PAY,
    PAYMENT_ID,
    REDIRECT,
    REFUND,
    REFUND_ID,
    TAKE,
    answer,
    error,
    event,
    failed,
    hook,
    listed,
    order,
    payment,
    prepared,
    refund,
)

RAZORPAY: Gateway = Razorpay()
TIMES = 10_000
LIKELY: list[Any] = [
    *("created", "authorized", "captured", "refunded", "failed", "processed", "pending", "card_declined"),
    *("INR", "USD", "XYZ", "payment", "refund", "order", "collection", "", "\x00", "4" * 5000),
    *(0, 1, 400, 1098, 1099, -1099, 2**53, 2**63, 1.5, 1e300, True, False, None, {}, [], [[]], [None]),
    *(ORDER.reference, AUTHORIZE.reference, REFUND.reference, "another"),
    *(ORDER_ID, PAYMENT_ID, REFUND_ID, "order_another", "pay_another", "rfnd_another", "pay_\ud800"[:4]),
    *({"order_ref": ORDER.reference}, {"order_ref": AUTHORIZE.reference, "order_kind": "authorize"}),
]
STATUSES = [200] * 12 + [201, 302, *([400] * 6), 401, 403, 404, 408, 409, 429, 500, 502, 503, 504, -1, 999]

TRUE_ANSWERS: list[tuple[Call, list[Any]]] = [
    (
        ORDER,
        [
            order(),
            listed(order(payments=listed())),
            listed(order(payments=listed(payment("captured")))),
            error("input_validation_failed"),
        ],
    ),
    (
        PAY,
        [
            prepared(REDIRECT),
            payment("captured"),
            listed(payment("authorized")),
            listed(payment("captured")),
            listed(failed("card_declined"), payment("refunded", captured=True)),
            error("card_declined", of=PAYMENT_ID),
        ],
    ),
    (
        AUTHORIZE,
        [listed(payment("authorized", AUTHORIZE)), payment("captured", AUTHORIZE), prepared(REDIRECT)],
    ),
    (TAKE, [payment("captured"), payment("authorized"), error("NA", description="already captured")]),
    (CAPTURE, [payment("captured", AUTHORIZE), payment("authorized", AUTHORIZE)]),
    (REFUND, [refund(), refund("pending"), listed(refund()), listed(refund(), refund(id="rfnd_b"))]),
]
EVENTS = [
    event("payment.captured", payment=payment("captured")),
    event("payment.authorized", payment=payment("authorized", AUTHORIZE)),
    event("refund.processed", refund=refund(), payment=payment("captured")),
    event(
        "payment.dispute.created",
        dispute={"id": "disp_1", "payment_id": PAYMENT_ID, "amount": 1099, "currency": "INR"},
        payment=payment(),
    ),
]
CALLS = [call for call, _ in TRUE_ANSWERS]


def places(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in inner:
        yield (*path, name)
        yield from places(value, (*path, name))


def put(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = node = deepcopy(body)
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = deepcopy(value)
    return changed


def mutated(chance: random.Random, seeds: list[Any]) -> bytes:
    """A true answer with one to three places replaced; one in five is cut off or has a byte changed."""
    body = chance.choice(seeds)
    for _ in range(chance.randint(1, 3)):
        body = put(body, chance.choice(list(places(body)) or [()]), chance.choice(LIKELY)) if body else body
    raw = bytearray(orjson.dumps(body))
    if chance.random() < 0.1:
        raw = raw[: chance.randint(0, len(raw))]
    elif chance.random() < 0.1:
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    return bytes(raw)


def objects(body: Any) -> Iterator[dict[str, Any]]:
    if isinstance(body, dict):
        yield body
    inner = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    for one in inner:
        yield from objects(one)


def shows(call: Call, shown: dict[str, Any]) -> bool:
    """Whether this object by itself says that the call was done as it was asked for."""
    tags = shown.get("notes")
    said = tags.get("order_ref") if isinstance(tags, dict) else None
    status, money = shown.get("status"), (shown.get("amount"), shown.get("currency"))
    if call.kind == "refund":
        ours = call.reference in (said, shown.get("receipt")) and shown.get("payment_id") == PAYMENT_ID
        return ours and money == (400, "INR") and status == "processed"
    taken = status == "captured" or (status == "refunded" and shown.get("captured") is True)
    wanted = call.target_reference if call.kind == "capture" else call.reference
    held = call.kind == "authorize" and status == "authorized"
    return said == wanted and money == (1099, "INR") and (taken or held)


def check(call: Call, status: int, raw: bytes) -> None:
    said = answer(status, raw)
    known = [call, replace(call, psp_id=REFUND_ID if call.kind == "refund" else PAYMENT_ID)]
    outcomes = [RAZORPAY.outcome(call, said), RAZORPAY.cancelled(call, said)]
    outcomes += [found for one in known if (found := RAZORPAY.found(one, said)) is not None]
    for outcome in outcomes:
        _check(call, outcome, status, raw)


def _check(call: Call, outcome: Outcome, status: int, raw: bytes) -> None:
    if outcome.kind == "APPROVED":
        assert status == 200
        assert any(shows(call, one) for one in objects(orjson.loads(raw)))
        assert (outcome.amount_minor, outcome.currency) == (call.amount_minor, "INR")
    if outcome.kind.startswith("DECLINED"):
        assert status in {200, 400}
    if outcome.kind == "NOT_SENT":
        assert 400 <= status < 500
    assert call.payment_method not in outcome.model_dump_json()


@pytest.mark.parametrize(("call", "seeds"), TRUE_ANSWERS, ids=[call.kind + call.step for call in CALLS])
def test_no_one_change_of_a_true_answer_approves_what_was_not_asked(call: Call, seeds: list[Any]):
    for seed in seeds:
        for path, value in itertools.product(places(seed), LIKELY):
            check(call, 400 if "error" in seed else 200, orjson.dumps(put(seed, path, value)))


@pytest.mark.parametrize(("call", "seeds"), TRUE_ANSWERS, ids=[call.kind + call.step for call in CALLS])
def test_ten_thousand_mutated_answers_neither_raise_nor_approve_what_was_not_asked(
    call: Call, seeds: list[Any]
):
    chance = random.Random(call.kind + call.step)
    for _ in range(TIMES):
        check(call, chance.choice(STATUSES), mutated(chance, seeds))


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"7", b"[" * 5000, b'{"error": []}', b'{"id": "\\ud800"}', bytes(range(256))]
)
@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.kind + call.step)
def test_an_answer_made_to_hurt_hurts_nobody(call: Call, status: int, raw: bytes):
    check(call, status, raw)


def test_ten_thousand_mutated_events_neither_raise_nor_say_what_they_do_not():
    chance = random.Random("events")
    for _ in range(TIMES):
        raw = mutated(chance, EVENTS)
        read = RAZORPAY.read_hook(hook(raw), HookKeys((HOOK_SECRET,), {}), datetime.now(UTC))
        if isinstance(read, HookRefused):
            assert read.why == "malformed"
            continue
        for notice in read:
            outcome = notice.outcome
            assert outcome is None or outcome.kind != "APPROVED" or outcome.amount_minor
            assert notice.dispute is None or notice.dispute.amount_minor > 0
