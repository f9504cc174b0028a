"""The adapter against the simulator over HTTP: captures, voids and refunds, and the ledger's movements."""

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from gateways.simulator.core.ledger import read_movements, read_open
from tests.gateways.simulator.conftest import slowly
from tests.gateways.simulator.paypal.client import Client, later, simulating
from tests.support.movements import minor
from tests.support.until import until


def moves(file: Path) -> list[tuple[str, int | None]]:
    return [(one.kind, minor(one)) for one in read_movements(file)]


async def test_parts_are_captured_and_the_rest_is_released_with_the_last(paypal: Client, ledger_file: Path):
    held = await paypal.authorized()
    first, last = later(held, "capture", 400), later(held, "capture", 600, 3, final=True)

    outcomes = [await paypal.send(first), await paypal.send(last)]

    assert [(o.kind, o.amount_minor, o.currency) for o in outcomes] == [
        ("APPROVED", 400, "USD"),
        ("APPROVED", 600, "USD"),
    ]
    assert len({o.psp_id for o in outcomes}) == 2
    assert [await paypal.find(first), await paypal.find(last)] == outcomes
    assert moves(ledger_file) == [
        ("authorized", 1099),
        ("captured", 400),
        ("captured", 600),
        ("released", 99),
    ]
    by_id = {one.psp_id: one for one in read_movements(ledger_file)}
    captured = by_id[outcomes[0].psp_id or ""]
    assert (captured.intent_id, captured.reference) == (held[1], first.reference)
    assert captured.intent_reference == held[0].reference


async def test_more_than_was_authorized_is_refused(paypal: Client):
    held = await paypal.authorized()

    outcome = await paypal.send(later(held, "capture", 1100))

    assert (outcome.kind, outcome.code) == ("NOT_SENT", "MAX_CAPTURE_AMOUNT_EXCEEDED")
    assert await paypal.find(later(held, "capture", 1100)) is None


async def test_a_void_releases_what_is_left_and_may_be_repeated(paypal: Client, ledger_file: Path):
    held = await paypal.authorized()
    await paypal.send(later(held, "capture", 400))
    void = later(held, "void", 699, 3)
    assert await paypal.find(void) is None

    outcomes = [await paypal.send(void), await paypal.send(void), await paypal.find(void)]

    assert [o and (o.kind, o.amount_minor) for o in outcomes] == [("APPROVED", 699)] * 3
    assert moves(ledger_file)[-1] == ("released", 699)
    refused = await paypal.send(later(held, "capture", 100, 4))
    assert (refused.kind, refused.code) == ("NOT_SENT", "AUTHORIZATION_VOIDED")
    authorization = await paypal.find(replace(held[0], step="2", psp_id=held[1]))
    assert authorization is not None
    assert (authorization.kind, authorization.amount_minor) == ("APPROVED", 1099)
    assert authorization.balances is not None
    assert (authorization.balances.captured_minor, authorization.balances.held_minor) == (400, 0)


async def test_what_was_captured_whole_cannot_be_voided(paypal: Client):
    held = await paypal.authorized()
    await paypal.send(later(held, "capture", 1099, final=True))

    outcome = await paypal.send(later(held, "void", 1099, 3))

    assert (outcome.code, outcome.repeat_is_useless) == ("PREVIOUSLY_CAPTURED", True)
    assert await paypal.find(later(held, "void", 1099, 3)) is None


async def test_a_sale_is_given_back_in_parts_until_nothing_is_left(paypal: Client, ledger_file: Path):
    sold = await paypal.sold()
    refunds = [later(sold, "refund", 400), later(sold, "refund", 699, 3)]

    outcomes = [await paypal.send(call) for call in refunds]

    assert [(o.kind, o.amount_minor) for o in outcomes] == [("APPROVED", 400), ("APPROVED", 699)]
    assert [await paypal.find(call) for call in refunds] == outcomes
    assert moves(ledger_file) == [("captured", 1099), ("refunded", 400), ("refunded", 699)]
    more = await paypal.send(later(sold, "refund", 1, 4))
    assert (more.kind, more.code) == ("UNKNOWN", "CAPTURE_FULLY_REFUNDED")
    assert await paypal.find(later(sold, "refund", 1, 4)) is None
    still = await paypal.find(replace(sold[0], step="2", psp_id=sold[1]))
    assert still is not None
    assert still.kind == "APPROVED"


async def test_a_capture_of_an_authorization_is_given_back_under_its_payment(
    paypal: Client, ledger_file: Path
):
    held = await paypal.authorized()
    capture = later(held, "capture", 400)
    captured = await paypal.send(capture)
    assert captured.psp_id is not None
    of_capture = (capture, captured.psp_id)

    refunded = await paypal.send(later(of_capture, "refund", 400, 3))
    too_much = await paypal.send(later(of_capture, "refund", 1, 4))

    assert refunded.kind == "APPROVED"
    assert too_much.code == "CAPTURE_FULLY_REFUNDED"
    one = list(read_movements(ledger_file))[-1]
    assert (one.kind, minor(one), one.intent_id) == ("refunded", 400, held[1])
    assert (one.psp_id, one.reference) == (refunded.psp_id, f"{held[0].reference.partition('-')[0]}-r3")


async def test_a_refund_of_more_than_was_captured_is_refused(paypal: Client):
    outcome = await paypal.send(later(await paypal.sold(), "refund", 1100))

    assert (outcome.kind, outcome.code) == ("NOT_SENT", "REFUND_AMOUNT_EXCEEDED")


@slowly
@pytest.mark.parametrize(
    ("token", "first", "end"),
    [
        ("sim_refund_failed", "DECLINED_HARD", "DECLINED_HARD"),
        ("sim_refund_pending", "PENDING", "APPROVED"),
        ("sim_refund_pending_fails", "PENDING", "DECLINED_HARD"),
    ],
)
async def test_a_refund_may_be_settled_later(
    paypal: Client, ledger_file: Path, token: str, first: str, end: str
):
    refund = later(await paypal.sold(token), "refund", 400)
    assert (await paypal.send(refund)).kind == first
    assert len(list(read_open(ledger_file))) == (first != end)

    async def ended() -> bool:
        found = await paypal.find(refund)
        return found is not None and found.kind == end

    await until(ended, "the refund has its end")
    assert list(read_open(ledger_file)) == []
    assert ("refunded", 400) in moves(ledger_file) or end != "APPROVED"


@slowly
@pytest.mark.parametrize(
    ("token", "end"), [("sim_pending", "APPROVED"), ("sim_pending_declined", "DECLINED_SOFT")]
)
@pytest.mark.parametrize("kind", ["sale", "authorize"])
async def test_a_pending_payment_ends_by_itself(
    paypal: Client, ledger_file: Path, token: str, end: str, kind: str
):
    call = paypal.call(token, kind=kind)
    pending = await paypal.done(call)
    assert (pending.kind, moves(ledger_file)) == ("PENDING", [])
    assert len(list(read_open(ledger_file))) == 1

    async def ended() -> bool:
        found = await paypal.find(replace(call, step="2", psp_id=pending.psp_id))
        return found is not None and found.kind == end

    await until(ended, "the payment has its end")
    assert (len(moves(ledger_file)), list(read_open(ledger_file))) == (int(end == "APPROVED"), [])


@pytest.mark.parametrize("kind", ["capture", "refund"])
async def test_a_repeat_moves_nothing_twice(paypal: Client, ledger_file: Path, kind: str):
    of = await (paypal.authorized() if kind == "capture" else paypal.sold())
    call = later(of, kind, 400)

    outcomes = [await paypal.send(call) for _ in range(3)]

    assert outcomes == [outcomes[0]] * 3
    assert len(moves(ledger_file)) == 2


@pytest.mark.parametrize(("kind", "on"), [("capture", "capture"), ("void", "cancel"), ("refund", "refund")])
async def test_a_response_that_was_lost_is_found_and_its_repeat_is_one(
    paypal: Client, ledger_file: Path, kind: str, on: str
):
    token = f"sim_{on}_lost"
    of = await (paypal.sold(token) if kind == "refund" else paypal.authorized(token))
    call = later(of, kind, 1099)
    with pytest.raises(aiohttp.ClientError):
        await paypal.send(call)

    found = await paypal.find(call)

    assert found is not None
    assert (found.kind, found.amount_minor) == ("APPROVED", 1099)
    assert (await paypal.send(call)).kind == "APPROVED"
    assert len(moves(ledger_file)) == 2


async def test_an_invoice_is_taken_once_where_the_account_wants_it_so(ledger_file: Path):
    async with simulating(ledger_file, unique_invoices="true") as paypal:
        held = await paypal.authorized()
        capture = later(held, "capture", 400)
        assert (await paypal.send(capture)).kind == "APPROVED"

        again = await paypal.send(replace(capture, step="2"))

        assert (again.kind, again.code) == ("UNKNOWN", "DUPLICATE_INVOICE_ID")


async def test_an_authorization_lapses_where_the_account_says_so(ledger_file: Path):
    async with simulating(ledger_file, authorization_life_s="1") as paypal:
        call, psp_id = await paypal.authorized()

        async def lapsed() -> bool:
            found = await paypal.find(replace(call, step="2", psp_id=psp_id))
            return found is not None and found.kind == "EXPIRED"

        await until(lapsed, "it is voided")
    assert moves(ledger_file) == [("authorized", 1099), ("released", 1099)]


async def test_what_was_done_is_there_after_a_restart(ledger_file: Path):
    async with simulating(ledger_file) as paypal:
        held = await paypal.authorized()
    async with simulating(ledger_file) as paypal:
        assert (await paypal.send(later(held, "capture", 1099, final=True))).kind == "APPROVED"
    assert moves(ledger_file) == [("authorized", 1099), ("captured", 1099)]
