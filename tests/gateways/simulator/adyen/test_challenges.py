"""What waits for its customer: 3-D Secure passed, refused, guessed at and left; and the end of what nobody asks for."""

from dataclasses import replace

import pytest

from gateways.contract import StoredCredential
from tests.gateways.simulator.adyen.shop import Shop, begin


@pytest.mark.parametrize("token", ["sim_3DS", "sim_APPROVED"])
@pytest.mark.parametrize("kind", ["authorize", "sale"])
async def test_three_d_secure_is_a_page_and_a_second_step(shop: Shop, kind: str, token: str):
    call = begin("sale" if kind == "sale" else "authorize", token, three_ds=token == "sim_APPROVED")
    asked = await shop.send(call)
    assert (asked.kind, asked.next_step) == ("ACTION_REQUIRED", "2")
    assert shop.moved() == []

    returned = await shop.passes(asked)
    assert set(returned) == {"order", "redirectResult"}
    outcome = await shop.send(replace(call, step="2", returned=returned, psp_id=asked.psp_id))

    assert outcome.kind == ("PENDING" if kind == "sale" else "APPROVED")
    assert outcome.next_step == ("3" if kind == "sale" else None)
    assert outcome.psp_id == asked.psp_id
    assert shop.moved() == [("authorized", call.reference, asked.psp_id, 1099)]


@pytest.mark.parametrize(
    ("token", "result", "code"), [("sim_3DS", "fail", "11"), ("sim_3DS_DECLINED", "pass", "12")]
)
async def test_a_challenge_may_end_in_a_decline(shop: Shop, token: str, result: str, code: str):
    call = begin("sale", token)
    asked = await shop.send(call)

    returned = await shop.passes(asked, result)
    outcome = await shop.send(replace(call, step="2", returned=returned))
    told = await shop.told("AUTHORISATION")

    assert (outcome.kind, outcome.code) == ("DECLINED_SOFT", code)
    assert told.outcome is not None
    assert (told.outcome.kind, told.outcome.code) == ("DECLINED_SOFT", code)
    assert shop.moved() == []


async def test_the_first_answer_at_the_page_counts(shop: Shop):
    call = begin("authorize", "sim_3DS")
    asked = await shop.send(call)
    await shop.passes(asked, "fail")

    outcome = await shop.send(replace(call, step="2", returned=await shop.passes(asked)))

    assert outcome.code == "11"


@pytest.mark.parametrize("result", ["X", "{psp}!guessed", "{psp}!", "{psp}"])
async def test_a_result_that_the_page_did_not_give_completes_nothing(shop: Shop, result: str):
    call = begin("sale", "sim_3DS")
    asked = await shop.send(call)
    invented = {"redirectResult": result.format(psp=asked.psp_id)}

    outcome = await shop.send(replace(call, step="2", returned=invented))

    assert (outcome.kind, outcome.code) == ("NOT_SENT", "14_003")
    assert shop.moved() == []


async def test_a_customer_who_leaves_the_page_open_is_cancelled_by_our_reference(shop: Shop):
    call = begin("sale", "sim_3DS")
    asked = await shop.send(call)

    ended = await shop.cancel(call)
    told = await shop.told("TECHNICAL_CANCEL")

    assert (ended.kind, ended.code) == ("UNKNOWN", "cancel_received")
    assert (told.reference, told.psp_id) == (call.reference, asked.psp_id)
    assert told.outcome is not None
    assert told.outcome.kind == "EXPIRED"
    late = await shop.send(replace(call, step="2", returned=await shop.passes(asked)))
    assert (late.kind, late.code) == ("UNKNOWN", "704")
    assert shop.moved() == []


async def test_a_technical_cancel_lets_an_authorisation_go(shop: Shop):
    call = begin("sale")
    held = await shop.send(call)

    await shop.cancel(call)
    told = await shop.told("TECHNICAL_CANCEL")

    assert told.outcome is not None
    assert (told.outcome.kind, told.outcome.psp_id) == ("EXPIRED", held.psp_id)
    assert shop.moved()[1:] == [("released", f"{call.reference}-x", held.psp_id, 1099)]


async def test_a_technical_cancel_of_what_was_captured_or_never_came_ends_nothing(shop: Shop):
    sold, never = await shop.sold(), begin("sale")

    await shop.cancel(sold)
    await shop.cancel(never)
    await shop.told("TECHNICAL_CANCEL", 2)

    outcomes = {one.reference: one.outcome for one in shop.notices("TECHNICAL_CANCEL")}
    assert set(outcomes) == {sold.reference, never.reference}
    assert {one and one.code for one in outcomes.values()} == {"cancel_refused"}
    assert [one[0] for one in shop.moved()] == ["authorized", "captured"]


class TestShortLived:
    @pytest.fixture
    def options(self) -> dict[str, str]:
        return {"authorization_life_s": "1"}

    async def test_an_authorisation_expires(self, shop: Shop):
        held = await shop.authorized()

        told = await shop.told("EXPIRE")

        assert told.reference == held.reference
        assert told.outcome is not None
        assert (told.outcome.kind, told.outcome.code) == ("EXPIRED", "expired")
        assert shop.moved()[1:] == [("released", held.reference, held.psp_id, 1099)]


async def test_the_merchant_is_never_asked_for_three_d_secure(shop: Shop):
    stored = StoredCredential("reuse", "merchant", "shopper-7")

    outcome = await shop.send(begin("authorize", "sim_3DS", stored_credential=stored))

    assert outcome.kind == "APPROVED"
