"""No bytes at all may raise, nor approve anything else than was asked for."""

import itertools
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.contract import Call, Gateway
from gateways.stripe.adapter import Stripe
from tests.gateways.stripe.says import (
    AUTHORIZE,
    CALL,
    INTENT_ID,
    PAYMENT,
    REFERENCE,
    REFUND_ID,
    answer,
    authorized,
    declined,
    intent,
    later,
    listed,
    refund,
    search,
    unfit,
)

STRIPE: Gateway = Stripe()

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
STATUSES = st.sampled_from(
    [200, 201, 302, 400, 401, 402, 403, 404, 408, 409, 424, 429, 500, 502, 503, 504]
) | st.integers(-1, 1000)
HEADERS = st.dictionaries(
    st.sampled_from(["request-id", "idempotent-replayed", "stripe-should-retry"]), st.text(max_size=300)
)
LIKELY = [
    *("succeeded", "requires_capture", "canceled", "failed", "usd", "eur", "400", "699", "1099"),
    *(0, 400, 699, 1099, 1199, True, None, {}, []),
    *(REFERENCE, AUTHORIZE.reference, f"{PAYMENT}-r3", INTENT_ID, "pi_another", "re_another"),
    *({"order_ref": REFERENCE}, {"order_ref": AUTHORIZE.reference, "op_c2": "400"}),
]
CAPTURE, VOID, REFUND = later("capture", 400), later("void", 699), later("refund", 400)
CHALLENGE = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://x"}}
PART = authorized("succeeded", op_c2="400")
OURS = refund(amount=400)

TRUE_ANSWERS: list[tuple[Call, list[Any]]] = [
    (
        CALL,
        [
            intent(),
            intent("requires_action", next_action=CHALLENGE),
            intent("requires_payment_method", last_payment_error={"code": "expired_card"}),
            declined(decline_code="lost_card"),
            unfit(intent()),
            search(intent()),
            search(intent(), intent()),
        ],
    ),
    (AUTHORIZE, [authorized(), authorized("canceled"), PART, unfit(authorized()), search(authorized())]),
    (CAPTURE, [PART, authorized(), authorized("canceled"), unfit(PART), unfit(authorized("canceled"))]),
    (VOID, [PART, authorized(), authorized("canceled", op_c2="400"), unfit(PART)]),
    (REFUND, [OURS, refund("pending"), refund("failed"), listed(OURS), listed(OURS, refund(id="re_b"))]),
]


@st.composite
def mutated(draw: st.DrawFn, seeds: list[Any]) -> bytes:
    """A true answer with one to three places replaced, or cut off."""
    body = orjson.loads(orjson.dumps(draw(st.sampled_from(seeds))))
    for _ in range(draw(st.integers(1, 3))):
        node = body
        while True:
            name = draw(st.sampled_from(sorted(node)))
            inner = node[name]
            if isinstance(inner, list) and inner:
                inner = inner[0]
            if isinstance(inner, dict) and inner and draw(st.booleans()):
                node = inner
            else:
                node[name] = deepcopy(draw(JSON | st.sampled_from(LIKELY)))
                break
    raw = orjson.dumps(body)
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw


def objects(body: Any) -> Iterator[dict[str, Any]]:
    inner: Iterable[Any] = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    if isinstance(body, dict):
        yield body
    for one in inner:
        yield from objects(one)


def shows(call: Call, shown: dict[str, Any]) -> bool:
    """Whether this object by itself says that the call was done as it was asked for."""
    metadata = shown.get("metadata")
    tags = metadata if isinstance(metadata, dict) else {}
    done, amount = shown.get("status"), shown.get("amount")
    received, left = shown.get("amount_received"), shown.get("amount_capturable")
    if shown.get("currency") != "usd":
        return False
    match call.kind:
        case "sale":
            return (tags.get("order_ref"), amount, received, done) == (REFERENCE, 1099, 1099, "succeeded")
        case "authorize":
            ours = sum(int(tag) for name, tag in tags.items() if name.startswith("op_c"))
            held = (done, left) == ("requires_capture", 1099 - ours) or (done == "succeeded" and ours > 0)
            asked = (tags.get("order_ref"), amount, received) == (AUTHORIZE.reference, 1099, ours)
            return asked and held
    if call.kind == "refund":
        of = (tags.get("order_ref"), shown.get("payment_intent"))
        return of == (REFUND.reference, INTENT_ID) and (amount, done) == (400, "succeeded")
    if (tags.get("order_ref"), shown.get("id")) != (AUTHORIZE.reference, INTENT_ID):
        return False
    if call.kind == "capture":
        return (tags.get("op_c2"), received, done) == ("400", 400, "succeeded")
    return left == 0 and amount - received == 699 and done in ("succeeded", "canceled")


def places(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in inner:
        yield (*path, name)
        yield from places(value, (*path, name))


@pytest.mark.parametrize(
    ("call", "seeds"), TRUE_ANSWERS, ids=lambda given: given.kind if isinstance(given, Call) else ""
)
def test_no_one_change_of_a_true_answer_approves_what_was_not_asked(call: Call, seeds: list[Any]):
    for seed in seeds:
        for path, value in itertools.product(places(seed), LIKELY):
            body = deepcopy(seed)
            node = body
            for name in path[:-1]:
                node = node[name]
            node[path[-1]] = value
            for status in (400, 402) if "error" in seed else (200,):
                _check(call, status, orjson.dumps(body), {})


@pytest.mark.parametrize(
    ("call", "seeds"), TRUE_ANSWERS, ids=lambda given: given.kind if isinstance(given, Call) else ""
)
@settings(deadline=None)  # the machine may be busy
@given(data=st.data(), status=STATUSES | st.sampled_from([200, 400]), headers=HEADERS)
def test_no_answer_raises_and_none_approves_what_was_not_asked(
    call: Call, seeds: list[Any], data: st.DataObject, status: int, headers: dict[str, str]
):
    body = data.draw(mutated(seeds) | JSON.map(orjson.dumps) | st.binary(max_size=200))
    _check(call, status, body, headers)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"[" * 5000),
        (200, b'{"object": "payment_intent", "id": "\\ud800"}'),
        (402, orjson.dumps(declined(decline_code="9" * 200, message="4" * 100_000))),
    ],
)
@pytest.mark.parametrize("call", [call for call, _ in TRUE_ANSWERS], ids=lambda call: call.kind)
def test_an_answer_made_to_hurt_hurts_nobody(call: Call, status: int, body: bytes):
    _check(call, status, body, {})


def _check(call: Call, status: int, body: bytes, headers: dict[str, str]) -> None:
    said = answer(status, body, headers)
    known = replace(call, psp_id=REFUND_ID if call.kind == "refund" else INTENT_ID)
    outcomes = [STRIPE.outcome(call, said), STRIPE.found(call, said), STRIPE.found(known, said)]
    if call.kind in {"sale", "authorize"}:
        outcomes.append(STRIPE.cancelled(replace(known, step="x"), said))
    for outcome in outcomes:
        if outcome is None:
            continue
        if outcome.kind == "APPROVED":
            assert any(shows(call, one) for one in objects(orjson.loads(body)))
            assert (outcome.amount_minor, outcome.currency) == (call.amount_minor, "USD")
        if outcome.kind == "EXPIRED":
            states = [(one.get("status"), one.get("amount_received")) for one in objects(orjson.loads(body))]
            assert ("canceled", 0) in states
        if outcome.kind.startswith("DECLINED"):
            assert status in {200, 400, 402}
        assert len(outcome.detail or "") <= 500
