"""What waits for its customer: 3-D Secure passed, refused, guessed at and left; and the end of what nobody
asks for.
"""

from dataclasses import replace

import pytest

from gateways.contract import StoredCredential
from tests.gateways.simulator.adyen.merchant import Merchant, begin


@pytest.mark.parametrize("token", ["sim_3DS", "sim_APPROVED"])
@pytest.mark.parametrize("kind", ["authorize", "sale"])
async def test_three_d_secure_is_a_page_and_a_second_step(merchant: Merchant, kind: str, token: str):
    call = begin("sale" if kind == "sale" else "authorize", token, three_ds=token == "sim_APPROVED")
    challenged = await merchant.send(call)
    assert (challenged.kind, challenged.next_step) == ("ACTION_REQUIRED", "2")
    assert merchant.moved() == []

    returned = await merchant.passes(challenged)
    assert set(returned) == {"order", "redirectResult"}
    outcome = await merchant.send(replace(call, step="2", returned=returned, psp_id=challenged.psp_id))

    assert outcome.kind == ("PENDING" if kind == "sale" else "APPROVED")
    assert outcome.next_step == ("3" if kind == "sale" else None)
    assert outcome.psp_id == challenged.psp_id
    assert merchant.moved() == [("authorized", call.reference, challenged.psp_id, 1099)]


@pytest.mark.parametrize(
    ("token", "result", "code"), [("sim_3DS", "fail", "11"), ("sim_3DS_DECLINED", "pass", "12")]
)
async def test_a_challenge_may_end_in_a_decline(merchant: Merchant, token: str, result: str, code: str):
    call = begin("sale", token)
    challenged = await merchant.send(call)

    returned = await merchant.passes(challenged, result)
    outcome = await merchant.send(replace(call, step="2", returned=returned))
    notice = await merchant.notice("AUTHORISATION")

    assert (outcome.kind, outcome.code) == ("DECLINED_SOFT", code)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.code) == ("DECLINED_SOFT", code)
    assert merchant.moved() == []


async def test_the_first_decision_at_the_page_counts(merchant: Merchant):
    call = begin("authorize", "sim_3DS")
    challenged = await merchant.send(call)
    await merchant.passes(challenged, "fail")

    outcome = await merchant.send(replace(call, step="2", returned=await merchant.passes(challenged)))

    assert outcome.code == "11"


@pytest.mark.parametrize("result", ["X", "{psp}!guessed", "{psp}!", "{psp}"])
async def test_a_result_that_the_page_did_not_give_completes_nothing(merchant: Merchant, result: str):
    call = begin("sale", "sim_3DS")
    challenged = await merchant.send(call)
    invented = {"redirectResult": result.format(psp=challenged.psp_id)}

    outcome = await merchant.send(replace(call, step="2", returned=invented))

    assert (outcome.kind, outcome.code) == ("NOT_SENT", "14_003")
    assert merchant.moved() == []


async def test_a_customer_who_leaves_the_page_open_is_cancelled_by_our_reference(merchant: Merchant):
    call = begin("sale", "sim_3DS")
    challenged = await merchant.send(call)

    ended = await merchant.cancel(call)
    notice = await merchant.notice("TECHNICAL_CANCEL")

    assert (ended.kind, ended.code) == ("UNKNOWN", "cancel_received")
    assert (notice.reference, notice.psp_id) == (call.reference, challenged.psp_id)
    assert notice.outcome is not None
    assert notice.outcome.kind == "EXPIRED"
    late = await merchant.send(replace(call, step="2", returned=await merchant.passes(challenged)))
    assert (late.kind, late.code) == ("UNKNOWN", "704")
    assert merchant.moved() == []


async def test_a_technical_cancel_lets_an_authorisation_go(merchant: Merchant):
    call = begin("sale")
    held = await merchant.send(call)

    await merchant.cancel(call)
    notice = await merchant.notice("TECHNICAL_CANCEL")

    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.psp_id) == ("EXPIRED", held.psp_id)
    assert merchant.moved()[1:] == [("released", f"{call.reference}-x", held.psp_id, 1099)]


async def test_a_technical_cancel_of_what_was_captured_or_never_came_ends_nothing(merchant: Merchant):
    sold, never = await merchant.sold(), begin("sale")

    await merchant.cancel(sold)
    await merchant.cancel(never)
    await merchant.notice("TECHNICAL_CANCEL", 2)

    outcomes = {one.reference: one.outcome for one in merchant.notices("TECHNICAL_CANCEL")}
    assert set(outcomes) == {sold.reference, never.reference}
    assert {one and one.code for one in outcomes.values()} == {"cancel_refused"}
    assert [one[0] for one in merchant.moved()] == ["authorized", "captured"]


class TestShortLived:
    @pytest.fixture
    def options(self) -> dict[str, str]:
        return {"authorization_life_s": "1"}

    async def test_an_authorisation_expires(self, merchant: Merchant):
        held = await merchant.authorized()

        notice = await merchant.notice("EXPIRE")

        assert notice.reference == held.reference
        assert notice.outcome is not None
        assert (notice.outcome.kind, notice.outcome.code) == ("EXPIRED", "expired")
        assert merchant.moved()[1:] == [("released", held.reference, held.psp_id, 1099)]


async def test_the_merchant_never_gets_a_challenge(merchant: Merchant):
    stored = StoredCredential("reuse", "merchant", "shopper-7")

    outcome = await merchant.send(begin("authorize", "sim_3DS", stored_credential=stored))

    assert outcome.kind == "APPROVED"
