"""At the PSP's own simulator, whose ledger has what really moved."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands.messages import Outcome
from gateways.contract import Call
from infra.psp.http_client import HttpClient
from tests.gateways.conformance.books import CASEBOOKS, operations
from tests.gateways.conformance.calls import of_money
from tests.gateways.conformance.cases import CHARGE_ATTEMPTS, Operation, Token, Without
from tests.gateways.conformance.shop import Shop, on, shop_at
from tests.support.until import until

_SIMULATED = {name: book for name, book in CASEBOOKS.items() if not isinstance(book.simulator, Without)}
_RECEIVES = {
    name: book
    for name, book in _SIMULATED.items()
    if not isinstance(book.simulator, Without) and not isinstance(book.simulator.keys, Without)
}
TAKEN_MINOR = 1099


@pytest.fixture
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_at(request.param, tmp_path) as opened:
        yield opened


def each_shop(*needed: Operation) -> pytest.MarkDecorator:
    """At each PSP that has a simulator and these operations."""
    books = {name: book for name, book in _SIMULATED.items() if set(needed) <= set(operations(book))}
    return pytest.mark.parametrize("shop", books.values(), ids=books, indirect=True)


def _payments() -> Iterator[Any]:
    for name, book in _SIMULATED.items():
        assert not isinstance(book.simulator, Without)
        for operation in sorted(set(operations(book)) & set(CHARGE_ATTEMPTS)):
            for token, played in book.simulator.tokens.items():
                if not isinstance(played, Without):
                    yield pytest.param(book, operation, token, id=f"{name}-{operation}-{token}")


_ENDS: dict[Token, str] = {
    "approved": "APPROVED",
    "declined_soft": "DECLINED_SOFT",
    "declined_hard": "DECLINED_HARD",
    "challenged": "APPROVED",
}


@pytest.mark.parametrize(("shop", "operation", "token"), list(_payments()), indirect=["shop"])
async def test_a_payment_ends_as_its_token_says_and_moves_that_and_no_more(
    shop: Shop, operation: Operation, token: Token
):
    call = shop.begin(operation, token)

    _, outcome = await shop.end(call, await shop.send(call))

    assert outcome.kind == _ENDS[token], outcome
    moved = "authorized" if operation == "authorize" else "captured"
    assert shop.moved(call)[moved] == (TAKEN_MINOR if outcome.kind == "APPROVED" else 0)


@each_shop("authorize", "capture", "refund_part")
async def test_what_was_held_is_captured_in_part_and_what_was_taken_given_back_in_parts(shop: Shop):
    held = await shop.done("authorize")
    has = shop.book.gateway.facts
    minor = 400 if has.partial_capture else TAKEN_MINOR
    capture = shop.later("capture_part" if has.partial_capture else "capture", held, minor)
    captured, outcome = await shop.end(capture, await shop.send(capture))
    assert (outcome.kind, shop.moved(held)["captured"]) == ("APPROVED", minor), outcome
    of = captured if has.refunds_of == "capture" else held
    given = 0
    for ordinal, part in ((3, 100), (4, minor - 100)):
        refund = shop.later("refund_part", replace(of, amount_minor=minor), part, ordinal)
        _, outcome = await shop.end(refund, await shop.taken_in(refund))
        given += part

        assert (outcome.kind, outcome.amount_minor) == ("APPROVED", part), outcome
        assert shop.moved(held)["refunded"] == given


@each_shop("authorize", "void")
async def test_what_was_held_is_released(shop: Shop):
    held = await shop.done("authorize")
    void = shop.later("void", held, TAKEN_MINOR)

    _, outcome = await shop.end(void, await shop.send(void))

    assert outcome.kind == "APPROVED", outcome
    assert shop.moved(held)["captured"] == 0
    assert shop.moved(held)["released"] == TAKEN_MINOR


@each_shop("sale", "refund")
async def test_what_was_sold_is_given_back_whole(shop: Shop):
    sold = await shop.done("sale")
    refund = shop.later("refund", sold, TAKEN_MINOR)

    _, outcome = await shop.end(refund, await shop.taken_in(refund))

    assert (outcome.kind, shop.moved(sold)["refunded"]) == ("APPROVED", TAKEN_MINOR), outcome


async def recovered(shop: Shop, call: Call, first: Outcome) -> Outcome:
    """As the agent finds it out: by the same call while it has a key, else by asking. UNKNOWN: there is
    nothing there."""
    outcome = first
    keyed = shop.book.gateway.key_life_s(call, shop.book.credentials) > 0
    if outcome.kind in {"UNKNOWN", "NOT_SENT"} and keyed and not outcome.repeat_is_useless:
        outcome = await shop.send(call)
    async with asyncio.timeout(10):
        while outcome.kind == "UNKNOWN":
            outcome = await shop.latest_outcome(call)
            if outcome.kind == "UNKNOWN" and not shop.moved(call)["captured"]:
                return outcome
    return (await shop.end(call, outcome))[1]


_UNKNOWN = ("lost", "reset", "500", "garbage", "wrong_amount", "wrong_currency", "slow_body", "hang")


@each_shop("sale")
@pytest.mark.parametrize("do", ["429", *_UNKNOWN])
async def test_whatever_happens_to_the_call_that_takes_the_money_it_is_taken_once_or_not_at_all(
    shop: Shop, do: str
):
    call = await shop.until_the_money("sale", "approved")
    slow: dict[str, Any] = {"after_s": 1} if do in {"slow_body", "hang"} else {}
    await shop.switch(faults=[{"on": on(call), "do": do, "next": 1, **slow}])
    async with HttpClient.open(10, deadline_s=0.4 if slow else 10) as http:
        first = await shop.send(call, http)
    await shop.switch(faults=[])

    assert first.kind == "UNKNOWN" or (do == "429" and first.kind == "NOT_SENT"), first
    end = await recovered(shop, call, first)
    taken = shop.moved(call)["captured"]
    assert (end.kind, taken) in {("APPROVED", TAKEN_MINOR), ("UNKNOWN", 0), ("NOT_SENT", 0)}, end


@each_shop("sale")
async def test_a_sale_that_the_search_shows_late_is_found_and_is_nothing_else_before(shop: Shop):
    call = await shop.until_the_money("sale", "approved")
    await shop.switch(search_lag_s=0.5, faults=[{"on": on(call), "do": "lost", "next": 1}])
    assert (await shop.send(call)).kind == "UNKNOWN"

    async with asyncio.timeout(10):
        while (requested := await shop.latest_outcome(call)).kind != "APPROVED":
            assert requested.kind in {"UNKNOWN", "PENDING", "ACTION_REQUIRED"}, requested
            await asyncio.sleep(0.05)

    assert shop.moved(call)["captured"] == TAKEN_MINOR


@pytest.mark.parametrize("shop", _RECEIVES.values(), ids=_RECEIVES, indirect=True)
async def test_webhooks_that_come_twice_early_and_beside_forged_ones_tell_the_same(shop: Shop):
    await shop.switch(webhooks={"repeat": 1, "forged": 1, "before_response": 1})
    call = await shop.done("sale")

    def received() -> Counter[str]:
        return Counter(notice.event_id for notice in shop.notices if notice.reference == call.reference)

    await until(lambda: received() and min(received().values()) > 1, "each webhook comes twice")
    assert shop.refused
    assert {refused.reason for refused in shop.refused} == {"forged"}
    payment = call.reference.partition("-")[0]
    assert {(notice.reference or payment).partition("-")[0] for notice in shop.notices} == {payment}
    outcomes = [notice.outcome for notice in shop.notices if notice.outcome is not None]
    assert all(outcome.amount_minor in {None, TAKEN_MINOR} for outcome in outcomes)


@each_shop("sale")
async def test_a_key_with_another_amount_approves_nothing_that_was_not_taken(shop: Shop):
    call = await shop.until_the_money("sale", "approved")
    await shop.end(call, await shop.send(call))

    other = await shop.send(of_money(call, call.amount_minor + 100, call.currency))

    assert other.kind in {"UNKNOWN", "NOT_SENT"}, other
    assert shop.moved(call)["captured"] == TAKEN_MINOR


@each_shop("sale")
async def test_the_same_call_twice_at_once_takes_the_money_once(shop: Shop):
    call = await shop.until_the_money("sale", "approved")
    await shop.switch(latency_ms=50)

    first, second = await asyncio.gather(shop.send(call), shop.send(call))

    assert {first.kind, second.kind} <= {"APPROVED", "PENDING", "UNKNOWN", "NOT_SENT"}
    best = first if first.kind in {"APPROVED", "PENDING"} else second
    _, outcome = await shop.end(call, best)
    assert (outcome.kind, shop.moved(call)["captured"]) == ("APPROVED", TAKEN_MINOR), outcome


@each_shop("sale")
async def test_another_secret_is_a_matter_of_the_configuration(shop: Shop):
    shop.book = replace(
        shop.book, credentials=replace(shop.book.credentials, secret="another_secret_of_nobody")
    )

    outcome = await shop.send(shop.begin("sale", "approved"))

    assert (outcome.kind, outcome.hint) == ("NOT_SENT", "CONFIG")
