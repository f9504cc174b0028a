"""Our adapter against the simulator over HTTP: each flow, and its movements in the ledger."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from commands.messages import Outcome
from gateways.simulator.core.ledger import read_movements
from tests.gateways.simulator.braintree.merchant import Merchant, begin, later
from tests.gateways.simulator.conftest import slowly
from tests.support.movements import minor

GONE = (aiohttp.ClientError, TimeoutError)


def moved(file: Path) -> list[tuple[str, int | None, str]]:
    return [(one.kind, minor(one), one.reference.partition("-")[2]) for one in read_movements(file)]


def short(outcome: Outcome | None) -> tuple[str | None, str | None]:
    return (None, None) if outcome is None else (outcome.kind, outcome.code)


@pytest.mark.parametrize(
    ("minor", "currency", "human"), [(1099, "USD", "10.99"), (500, "JPY", "500"), (5124, "KWD", "5.124")]
)
async def test_a_sale_takes_the_amount_that_was_requested(
    merchant: Merchant, ledger_file: Path, minor: int, currency: str, human: str
):
    sold = await merchant.sent(begin(amount_minor=minor, currency=currency))

    assert [(one.kind, one.amount) for one in read_movements(ledger_file)] == [("captured", Decimal(human))]
    assert [one.intent_id for one in read_movements(ledger_file)] == [sold.psp_id]
    assert short(await merchant.find(sold)) == ("APPROVED", None)
    assert short(await merchant.find(replace(sold, psp_id=None))) == ("APPROVED", None)


async def test_a_part_is_captured_and_the_rest_let_go(merchant: Merchant, ledger_file: Path):
    held = await merchant.sent(begin("authorize"))
    capture = later("capture", held, 400)

    assert short(await merchant.find(capture)) == (None, None)
    assert short(await merchant.send(capture)) == ("APPROVED", None)
    assert short(await merchant.find(capture)) == ("APPROVED", None)
    assert short(await merchant.find(held)) == ("APPROVED", None)
    assert moved(ledger_file) == [
        ("authorized", 1099, "a1"),
        ("captured", 400, "c2"),
        ("released", 699, "c2"),
    ]


async def test_a_hold_is_released_once(merchant: Merchant, ledger_file: Path):
    held = await merchant.sent(begin("authorize"))
    void = later("void", held)

    assert short(await merchant.find(void)) == (None, None)
    assert short(await merchant.send(void)) == ("APPROVED", None)
    assert short(await merchant.send(void)) == ("UNKNOWN", "91504")
    assert short(await merchant.find(void)) == ("APPROVED", None)
    assert short(await merchant.send(later("capture", held))) == ("UNKNOWN", "91507")
    assert moved(ledger_file) == [("authorized", 1099, "a1"), ("released", 1099, "v2")]


@slowly
async def test_all_is_given_back_before_the_settlement_by_a_void(merchant: Merchant, ledger_file: Path):
    sold = await merchant.sent(begin())
    refund = later("refund", sold)

    assert short(await merchant.find(refund)) == (None, None)
    assert await merchant.send(refund) == Outcome(kind="APPROVED", amount_minor=1099, currency="USD")
    assert short(await merchant.find(refund)) == ("APPROVED", None)
    assert moved(ledger_file) == [("captured", 1099, "s1"), ("refunded", 1099, "r2")]


@slowly
async def test_all_that_was_captured_of_an_authorization_is_given_back_before_the_settlement(
    merchant: Merchant, ledger_file: Path
):
    held = await merchant.sent(begin("authorize"))
    await merchant.sent(later("capture", held, 400))
    refund = replace(later("refund", held, 400), target_minor=400)

    assert short(await merchant.find(refund)) == (None, None)
    assert short(await merchant.send(refund)) == ("APPROVED", None)
    assert short(await merchant.find(refund)) == ("APPROVED", None)
    assert moved(ledger_file)[-1] == ("refunded", 400, "r2")


async def test_all_is_given_back_after_the_settlement_by_a_refund(merchant: Merchant, ledger_file: Path):
    sold = await merchant.sent(begin())
    await merchant.settled(sold)
    refund = later("refund", sold)

    back = await merchant.sent(refund)

    assert back.psp_id is not None
    assert short(await merchant.send(refund)) == ("UNKNOWN", "91512")
    assert short(await merchant.find(refund)) == short(await merchant.find(back)) == ("APPROVED", None)
    assert moved(ledger_file) == [("captured", 1099, "s1"), ("refunded", 1099, "r2")]


@slowly
async def test_a_part_is_given_back_after_the_settlement_only(merchant: Merchant, ledger_file: Path):
    sold = await merchant.sent(begin())
    refund = later("refund", sold, 400)
    assert short(await merchant.send(refund)) == ("NOT_SENT", "not_settled_yet")
    await merchant.settled(sold)

    back = await merchant.sent(refund)
    other = replace(refund, reference=refund.reference.replace("r2", "r3"))

    assert short(await merchant.find(other)) == (None, None)
    assert (await merchant.sent(other)).psp_id != back.psp_id
    assert short(await merchant.find(refund)) == short(await merchant.find(back)) == ("APPROVED", None)
    assert short(await merchant.send(replace(other, reference=other.reference.replace("r3", "r4")))) == (
        "NOT_SENT",
        "more_than_is_left",
    )
    assert moved(ledger_file) == [("captured", 1099, "s1"), ("refunded", 400, "r2"), ("refunded", 400, "r3")]


@pytest.mark.parametrize(
    ("nonce", "expected", "hint"),
    [
        ("fake-processor-declined-visa-nonce", ("DECLINED_SOFT", "2000"), None),
        ("fake-sim-declined-hard-nonce", ("DECLINED_HARD", "2015"), None),
        ("fake-processor-failure-jcb-nonce", ("UNKNOWN", "failed"), None),
        ("fake-gateway-rejected-fraud-nonce", ("DECLINED_HARD", "FRAUD"), None),
        ("fake-gateway-rejected-risk-thresholds-nonce", ("DECLINED_HARD", "RISK_THRESHOLD"), None),
        ("fake-sim-rejected-cvv-nonce", ("DECLINED_SOFT", "CVV"), "FIX_INPUT"),
        (
            "fake-three-d-secure-visa-failed-authentication-nonce",
            ("DECLINED_SOFT", "THREE_D_SECURE"),
            "REFRESH_TOKEN",
        ),
        ("fake-consumed-nonce", ("NOT_SENT", "91564"), "REFRESH_TOKEN"),
        ("fake-luhn-invalid-nonce", ("NOT_SENT", "81715"), None),
        ("no-such-nonce", ("NOT_SENT", "91565"), "REFRESH_TOKEN"),
        ("fake-sim-429-nonce", ("NOT_SENT", "RESOURCE_LIMIT"), None),
        ("fake-sim-500-nonce", ("UNKNOWN", "INTERNAL"), None),
        ("fake-sim-garbage-nonce", ("UNKNOWN", "unreadable_response"), None),
        ("fake-sim-wrong-amount-nonce", ("UNKNOWN", "amount_mismatch"), None),
        ("fake-sim-wrong-currency-nonce", ("UNKNOWN", "currency_mismatch"), None),
    ],
)
@pytest.mark.parametrize("kind", ["sale", "authorize"])
async def test_each_nonce_has_its_outcome(
    merchant: Merchant, kind: str, nonce: str, expected: tuple[str, str], hint: str | None
):
    outcome = await merchant.send(begin(kind, nonce))

    assert (short(outcome), outcome.hint) == (expected, hint)


async def test_a_later_call_that_is_refused_once_is_taken_at_its_repeat(
    merchant: Merchant, ledger_file: Path
):
    held = await merchant.sent(begin("authorize", "fake-sim-capture-429-once-nonce"))
    capture = later("capture", held)

    assert short(await merchant.send(capture)) == ("NOT_SENT", "RESOURCE_LIMIT")
    assert short(await merchant.send(capture)) == ("APPROVED", None)
    assert moved(ledger_file) == [("authorized", 1099, "a1"), ("captured", 1099, "c2")]


@pytest.mark.parametrize(
    ("minor", "expected"),
    [
        (199999, ("APPROVED", None)),
        (100400, ("UNKNOWN", "amount_mismatch")),
        (200000, ("DECLINED_SOFT", "2000")),
        (201500, ("DECLINED_HARD", "2015")),
        (201600, ("UNKNOWN", "2016")),
        (299999, ("DECLINED_SOFT", "2999")),
        (300099, ("UNKNOWN", "failed")),
        (300100, ("APPROVED", None)),
        (400200, ("PENDING", "settlement_pending")),
        (500100, ("NOT_SENT", "APPLICATION_INCOMPLETE")),
    ],
)
async def test_each_test_amount_has_its_outcome(
    merchant: Merchant, minor: int, expected: tuple[str, str | None]
):
    assert short(await merchant.send(begin(amount_minor=minor))) == expected


@slowly
async def test_what_is_pending_is_captured_when_it_settles(merchant: Merchant, ledger_file: Path):
    call = begin(nonce="fake-sim-pending-nonce")
    pending = await merchant.send(call)
    assert (pending.kind, moved(ledger_file)) == ("PENDING", [])

    await merchant.settled(replace(call, psp_id=pending.psp_id))

    assert short(await merchant.find(call)) == ("APPROVED", None)
    assert moved(ledger_file) == [("captured", 1099, "s1")]


async def test_a_repeat_with_its_key_gets_how_the_transaction_is_now(merchant: Merchant, ledger_file: Path):
    call = begin()
    first = await merchant.sent(call)
    await merchant.settled(first)

    assert await merchant.sent(call) == first
    assert short(await merchant.send(replace(call, amount_minor=400))) == (
        "UNKNOWN",
        "api_request_key_reused",
    )
    assert moved(ledger_file) == [("captured", 1099, "s1")]


async def test_a_repeat_while_the_first_is_running_is_refused(merchant: Merchant):
    await merchant.change(latency_ms=500)
    call = begin()

    outcomes = await asyncio.gather(merchant.send(call), merchant.send(call))

    assert {short(one) for one in outcomes} == {("APPROVED", None), ("UNKNOWN", "api_request_key_in_use")}


async def test_a_lost_response_is_found_by_a_repeat_and_by_a_search(merchant: Merchant, ledger_file: Path):
    call = begin(nonce="fake-sim-lost-nonce")
    with pytest.raises(GONE):
        await merchant.send(call)

    assert short(await merchant.find(call)) == ("APPROVED", None)
    assert moved(ledger_file) == [("captured", 1099, "s1")]


async def test_a_second_charge_under_one_order_id_is_found_beside_the_one_that_is_known(merchant: Merchant):
    await merchant.change(faults=[{"on": "create", "do": "key_expired", "share": 1.0}])
    call = begin(nonce="fake-sim-lost-nonce")
    with pytest.raises(GONE):
        await merchant.send(call)

    again = await merchant.sent(call)

    other = await merchant.find(again)
    assert short(other) == ("APPROVED", None)
    assert other is not None
    assert other.psp_id not in {None, again.psp_id}


@slowly
async def test_a_refund_of_all_after_a_part_in_the_control_panel_was_not_made(merchant: Merchant):
    sold = await merchant.sent(begin())
    await merchant.settled(sold)
    await merchant.dashboard("refund", sold, 700)
    ours = later("refund", sold)

    assert short(await merchant.send(ours)) == ("UNKNOWN", "91512")
    assert short(await merchant.find(ours)) == ("DECLINED_HARD", "more_than_is_left")


@slowly
async def test_a_refund_of_the_same_amount_in_the_control_panel_shows_in_the_response_to_ours(
    merchant: Merchant,
):
    sold = await merchant.sent(begin())
    await merchant.settled(sold)
    await merchant.dashboard("refund", sold, 400)
    ours = later("refund", sold, 400)

    outcome = await merchant.send(ours)
    found = [await merchant.find(ours), await merchant.find(replace(ours, psp_id=outcome.psp_id))]

    for response in (outcome, *found):
        assert response is not None
        assert response.psp_id == outcome.psp_id
        assert response.balances is not None
        assert (response.balances.refunded_minor, len(response.balances.moves)) == (800, 2)


async def test_without_keys_a_second_sale_of_the_same_is_a_duplicate(keyless: Merchant, ledger_file: Path):
    call = begin()
    first = await keyless.sent(call)

    again = await keyless.send(call)

    assert (again.kind, again.code, again.psp_id) == ("UNKNOWN", "DUPLICATE", first.psp_id)
    assert short(await keyless.find(call)) == ("APPROVED", None)
    assert moved(ledger_file) == [("captured", 1099, "s1")]


async def test_an_account_without_keys_does_not_know_the_field(keyless: Merchant):
    keyless.keys = True

    outcome = await keyless.send(begin())

    assert (outcome.kind, outcome.code, outcome.hint) == ("NOT_SENT", "api_request_key_not_taken", "CONFIG")


async def test_an_index_that_lags_finds_nothing_yet(merchant: Merchant):
    call = begin()
    sold = await merchant.sent(call)
    await merchant.change(search_lag_s=60)

    assert short(await merchant.find(call)) == (None, None)
    assert short(await merchant.find(sold)) == ("APPROVED", None)


@slowly
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"on": "search", "do": "absent", "next": 1}, (None, None)),
        ({"on": "search", "do": "flap", "next": 1}, ("UNKNOWN", "unexpected_status")),
    ],
)
async def test_a_search_can_be_made_to_err(
    merchant: Merchant, fault: dict[str, object], expected: tuple[str | None, str | None]
):
    call = begin()
    await merchant.sent(call)
    await merchant.change(faults=[fault])

    assert short(await merchant.find(call)) == expected
    assert short(await merchant.find(call)) == ("APPROVED", None)


@pytest.mark.parametrize(("on", "kind"), [("capture", "capture"), ("cancel", "void")])
async def test_a_response_about_a_hold_can_be_lost(merchant: Merchant, on: str, kind: str):
    held = await merchant.sent(begin("authorize", f"fake-sim-{on}-lost-nonce"))
    call = later(kind, held)
    with pytest.raises(GONE):
        await merchant.send(call)

    assert short(await merchant.find(call)) == ("APPROVED", None)


async def test_another_private_key_is_not_let_in(merchant: Merchant):
    response = await merchant.ask("{ ping }", secret="another")

    assert response["errors"][0]["extensions"]["errorClass"] == "AUTHENTICATION"


@pytest.mark.parametrize(
    "query",
    [
        "{ ping",
        "{ nothing }",
        "{ __typename }",
        "{ ping a: ping }",
        "query A { ping } query B { ping }",
        "mutation ($input: ChargePaymentMethodInput!) { chargePaymentMethod(input: $input) { transaction { id } } }",
    ],
)
async def test_a_document_that_is_not_right_is_refused_and_nothing_is_done(
    merchant: Merchant, ledger_file: Path, query: str
):
    response = await merchant.ask(query)

    assert response["errors"][0]["extensions"]["errorClass"] == "VALIDATION"
    assert moved(ledger_file) == []


@pytest.mark.parametrize(
    ("transaction", "code"),
    [
        ({"amount": "10.991"}, "81503"),
        ({"amount": "0.00"}, "81531"),
        ({"amount": "9999999999999.99"}, "81528"),
        ({"amount": "10.99", "merchantAccountId": "acct_xxx"}, "91513"),
        ({"amount": "10.99", "orderId": "x" * 256}, "91501"),
    ],
)
async def test_an_input_that_is_not_right_is_refused_with_its_code(
    merchant: Merchant, transaction: dict[str, str], code: str
):
    response = await merchant.ask(
        "mutation ($input: ChargePaymentMethodInput!) { chargePaymentMethod(input: $input) { transaction { id } } }",
        input={"paymentMethodId": "fake-valid-nonce", "transaction": transaction},
    )

    assert response["errors"][0]["extensions"]["legacyCode"] == code
