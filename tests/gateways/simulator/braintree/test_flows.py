"""Our adapter against the simulator over HTTP: each flow, and what the ledger says of it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from commands.messages import Outcome
from gateways.simulator.ledger import read_movements
from tests.gateways.simulator.braintree.merchant import Merchant, begin, later

GONE = (aiohttp.ClientError, TimeoutError)


def moved(file: Path) -> list[tuple[str, int | None, str]]:
    return [(one.kind, one.amount_minor, one.reference.partition("-")[2]) for one in read_movements(file)]


def short(said: Outcome | None) -> tuple[str | None, str | None]:
    return (None, None) if said is None else (said.kind, said.code)


@pytest.mark.parametrize(("minor", "currency"), [(1099, "USD"), (500, "JPY"), (5124, "KWD")])
async def test_a_sale_takes_the_amount_that_was_asked(
    merchant: Merchant, ledger_file: Path, minor: int, currency: str
):
    sold = await merchant.sent(begin(amount_minor=minor, currency=currency))

    assert moved(ledger_file) == [("captured", minor, "s1")]
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


async def test_all_is_given_back_before_the_settlement_by_a_void(merchant: Merchant, ledger_file: Path):
    sold = await merchant.sent(begin())
    refund = later("refund", sold)

    assert short(await merchant.find(refund)) == (None, None)
    assert await merchant.send(refund) == Outcome(kind="APPROVED", amount_minor=1099, currency="USD")
    assert short(await merchant.find(refund)) == ("APPROVED", None)
    assert moved(ledger_file) == [("captured", 1099, "s1"), ("refunded", 1099, "r2")]


async def test_all_is_given_back_after_the_settlement_by_a_refund(merchant: Merchant, ledger_file: Path):
    sold = await merchant.sent(begin())
    await merchant.settled(sold)
    refund = later("refund", sold)

    back = await merchant.sent(refund)

    assert back.psp_id is not None
    assert short(await merchant.send(refund)) == ("UNKNOWN", "91512")
    assert short(await merchant.find(refund)) == short(await merchant.find(back)) == ("APPROVED", None)
    assert moved(ledger_file) == [("captured", 1099, "s1"), ("refunded", 1099, "r2")]


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
        "91521",
    )
    assert moved(ledger_file) == [("captured", 1099, "s1"), ("refunded", 400, "r2"), ("refunded", 400, "r3")]


@pytest.mark.parametrize(
    ("nonce", "said", "hint"),
    [
        ("fake-processor-declined-visa-nonce", ("DECLINED_SOFT", "2000"), None),
        ("fake-sim-declined-hard-nonce", ("DECLINED_HARD", "2015"), None),
        ("fake-processor-failure-jcb-nonce", ("DECLINED_SOFT", "3000"), None),
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
        ("fake-sim-garbage-nonce", ("UNKNOWN", "unreadable_answer"), None),
        ("fake-sim-wrong-amount-nonce", ("UNKNOWN", "amount_mismatch"), None),
        ("fake-sim-wrong-currency-nonce", ("UNKNOWN", "currency_mismatch"), None),
    ],
)
@pytest.mark.parametrize("kind", ["sale", "authorize"])
async def test_each_nonce_has_its_outcome(
    merchant: Merchant, kind: str, nonce: str, said: tuple[str, str], hint: str | None
):
    outcome = await merchant.send(begin(kind, nonce))

    assert (short(outcome), outcome.hint) == (said, hint)


@pytest.mark.parametrize(
    ("minor", "said"),
    [
        (199999, ("APPROVED", None)),
        (100400, ("UNKNOWN", "amount_mismatch")),
        (200000, ("DECLINED_SOFT", "2000")),
        (201500, ("DECLINED_HARD", "2015")),
        (201600, ("UNKNOWN", "2016")),
        (299999, ("DECLINED_SOFT", "2999")),
        (300099, ("DECLINED_SOFT", "3000")),
        (300100, ("APPROVED", None)),
        (400200, ("PENDING", "settlement_pending")),
        (500100, ("NOT_SENT", "APPLICATION_INCOMPLETE")),
    ],
)
async def test_each_test_amount_has_its_outcome(merchant: Merchant, minor: int, said: tuple[str, str | None]):
    assert short(await merchant.send(begin(amount_minor=minor))) == said


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


async def test_a_lost_answer_is_found_by_a_repeat_and_by_a_search(merchant: Merchant, ledger_file: Path):
    call = begin(nonce="fake-sim-lost-nonce")
    with pytest.raises(GONE):
        await merchant.send(call)

    assert short(await merchant.find(call)) == ("APPROVED", None)
    assert moved(ledger_file) == [("captured", 1099, "s1")]


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


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"on": "search", "do": "absent", "next": 1}, (None, None)),
        ({"on": "search", "do": "flap", "next": 1}, ("UNKNOWN", "unexpected_status")),
    ],
)
async def test_a_search_can_be_made_to_err(
    merchant: Merchant, fault: dict[str, object], said: tuple[str | None, str | None]
):
    call = begin()
    await merchant.sent(call)
    await merchant.change(faults=[fault])

    assert short(await merchant.find(call)) == said
    assert short(await merchant.find(call)) == ("APPROVED", None)


@pytest.mark.parametrize(("on", "kind"), [("capture", "capture"), ("cancel", "void")])
async def test_an_answer_about_a_hold_can_be_lost(merchant: Merchant, on: str, kind: str):
    held = await merchant.sent(begin("authorize", f"fake-sim-{on}-lost-nonce"))
    call = later(kind, held)
    with pytest.raises(GONE):
        await merchant.send(call)

    assert short(await merchant.find(call)) == ("APPROVED", None)


async def test_another_private_key_is_not_let_in(merchant: Merchant):
    said = await merchant.ask("{ ping }", secret="another")

    assert said["errors"][0]["extensions"]["errorClass"] == "AUTHENTICATION"


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
    said = await merchant.ask(query)

    assert said["errors"][0]["extensions"]["errorClass"] == "VALIDATION"
    assert moved(ledger_file) == []


@pytest.mark.parametrize(
    ("transaction", "code"),
    [
        ({"amount": "10.991"}, "81503"),
        ({"amount": "0.00"}, "81531"),
        ({"amount": "9999999.99"}, "81528"),
        ({"amount": "10.99", "merchantAccountId": "acct_xxx"}, "91513"),
        ({"amount": "10.99", "orderId": "x" * 256}, "91501"),
    ],
)
async def test_an_input_that_is_not_right_is_refused_with_its_code(
    merchant: Merchant, transaction: dict[str, str], code: str
):
    said = await merchant.ask(
        "mutation ($input: ChargePaymentMethodInput!) { chargePaymentMethod(input: $input) { transaction { id } } }",
        input={"paymentMethodId": "fake-valid-nonce", "transaction": transaction},
    )

    assert said["errors"][0]["extensions"]["legacyCode"] == code
