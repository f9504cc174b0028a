"""The adapter against the simulator over HTTP: every token, and what the adapter makes of the response."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from commands.messages import Outcome
from gateways.contract import Credentials
from gateways.simulator import registry
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.server import serving
from gateways.simulator.stripe.scenarios import AMOUNTS, TOKENS
from tests.gateways.simulator.client import ACCOUNTS, KEY, STRIPE, Client, until
from tests.gateways.stripe.test_adapter import EXPRESSIBLE
from tests.support.movements import captures, minor

LATE = {f"pm_sim_{name}" for name in ("slow", "timeout", "late", "slow_body", "hang", "outage")}
CUT = {f"pm_sim_{name}" for name in ("lost", "lost_unlisted", "reset_before")}

# What a first call gets; and what a repeat with the same key gets after it.
ANSWERS = {
    **dict.fromkeys(
        [f"pm_card_{brand}" for brand in ("visa", "mastercard", "amex", "discover", "visa_debit")],
        (("APPROVED", None), ("APPROVED", None)),
    ),
    **{
        f"pm_card_{brand}{token}": ((kind, code),) * 2
        for brand in ("", "visa_")
        for token, kind, code in (
            ("chargeDeclined", "DECLINED_SOFT", "generic_decline"),
            ("chargeDeclinedInsufficientFunds", "DECLINED_SOFT", "insufficient_funds"),
            ("chargeDeclinedLostCard", "DECLINED_HARD", "lost_card"),
            ("chargeDeclinedStolenCard", "DECLINED_HARD", "stolen_card"),
            ("chargeDeclinedFraudulent", "DECLINED_HARD", "fraudulent"),
            ("chargeDeclinedVelocityLimitExceeded", "DECLINED_SOFT", "card_velocity_exceeded"),
            ("chargeDeclinedExpiredCard", "DECLINED_HARD", "expired_card"),
            ("chargeDeclinedIncorrectCvc", "DECLINED_SOFT", "incorrect_cvc"),
            ("chargeDeclinedProcessingError", "DECLINED_SOFT", "processing_error"),
        )
    },
    "pm_card_threeDSecure2Required": (("ACTION_REQUIRED", "redirect_to_url"),) * 2,
    "pm_sim_3ds_declined": (("ACTION_REQUIRED", "redirect_to_url"),) * 2,
    "pm_sim_processing": (("PENDING", "processing"),) * 2,
    "pm_sim_500": (("UNKNOWN", "http_500"),) * 2,
    "pm_sim_500_once": (("UNKNOWN", "http_500"), ("APPROVED", None)),
    "pm_sim_garbage": (("UNKNOWN", "unreadable_response"), ("APPROVED", None)),
    "pm_sim_wrong_amount": (("UNKNOWN", "amount_mismatch"),) * 2,
    "pm_sim_wrong_currency": (("UNKNOWN", "currency_mismatch"),) * 2,
    "pm_sim_429": (("NOT_SENT", "rate_limited"),) * 2,
    "pm_sim_429_once": (("NOT_SENT", "rate_limited"), ("APPROVED", None)),
    "pm_sim_429_twice": (("NOT_SENT", "rate_limited"),) * 2,
    "pm_sim_declined_once": (("DECLINED_SOFT", "generic_decline"),) * 2,
    "pm_sim_declined_twice": (("DECLINED_SOFT", "generic_decline"),) * 2,
    "pm_sim_never_again": (("DECLINED_SOFT", "generic_decline"),) * 2,
    "pm_sim_soft_here": (("DECLINED_SOFT", "insufficient_funds"),) * 2,
    "pm_sim_provider_timeout": (("UNKNOWN", "payment_method_provider_timeout"),) * 2,
    "pm_sim_provider_timeout_here": (("UNKNOWN", "payment_method_provider_timeout"),) * 2,
    "pm_sim_provider_timeout_charged": (("UNKNOWN", "payment_method_provider_timeout"),) * 2,
    "pm_sim_unlisted": (("APPROVED", None),) * 2,
}


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def simulator(ledger_file: Path) -> AsyncIterator[Client]:
    ledger = Ledger(ledger_file)
    async with (
        serving(
            ledger,
            psps=registry.PSPS,
            accounts=registry.accounts(ACCOUNTS),
            latency_ms=0,
            host="127.0.0.1",
            port=0,
            settles_after_s=0,
        ) as (url, _),
        aiohttp.ClientSession() as http,
    ):
        yield Client(http, url, itertools.count())
    ledger.close()


def short(outcome: Outcome | None) -> tuple[str, str | None] | None:
    return None if outcome is None else (outcome.kind, outcome.code)


def comparable(outcome: Outcome | None) -> Outcome | None:
    """Without the detail, which names the request, and the balances: a search shows no refunds."""
    return outcome and outcome.model_copy(update={"detail": None, "balances": None})


def charges(ledger_file: Path) -> list[tuple[str, int | None, str]]:
    return [(charge.reference, minor(charge), charge.currency) for charge in captures(ledger_file)]


def test_every_token_has_its_place_in_this_contract():
    assert set(ANSWERS) | LATE | CUT == set(TOKENS)


@pytest.mark.parametrize("token", ANSWERS)
async def test_the_adapter_reads_every_response_and_its_replay(
    simulator: Client, ledger_file: Path, token: str
):
    call = simulator.call(token)

    first = await simulator.sell(call, return_url="https://shop.example/back")
    again = await simulator.sell(call, return_url="https://shop.example/back")

    assert (short(first), short(again)) == ANSWERS[token]
    assert len(charges(ledger_file)) <= 1
    if "APPROVED" in {first.kind, again.kind}:
        assert charges(ledger_file) == [(call.reference, 1099, "USD")]


@pytest.mark.parametrize(
    ("token", "kind", "charged"),
    [
        ("pm_card_visa", "APPROVED", 1),
        ("pm_card_visa_chargeDeclined", "DECLINED_SOFT", 0),
        ("pm_card_threeDSecure2Required", "ACTION_REQUIRED", 0),
        ("pm_sim_provider_timeout", "DECLINED_SOFT", 0),
        ("pm_sim_provider_timeout_charged", "APPROVED", 1),
        ("pm_sim_wrong_amount", "APPROVED", 1),
        ("pm_sim_wrong_currency", "APPROVED", 1),
        ("pm_sim_garbage", "APPROVED", 1),
        ("pm_sim_500", None, 0),
        ("pm_sim_429", None, 0),
    ],
)
async def test_a_lookup_tells_what_the_ledger_holds(
    simulator: Client, ledger_file: Path, token: str, kind: str | None, charged: int
):
    call = simulator.call(token)
    response = await simulator.sell(call)

    by_reference = await simulator.find(call)
    by_id = await simulator.find(call, response.psp_id) if response.psp_id else by_reference

    assert comparable(by_reference) == comparable(by_id)
    assert (by_reference.kind if by_reference else None) == kind
    assert len(charges(ledger_file)) == charged


async def test_a_stored_500_is_distinguished_from_one_that_is_worth_a_repeat(simulator: Client):
    stored, once = simulator.call("pm_sim_500"), simulator.call("pm_sim_500_once")

    assert not (await simulator.sell(stored)).repeat_is_useless
    assert (await simulator.sell(stored)).repeat_is_useless
    assert not (await simulator.sell(once)).repeat_is_useless


@pytest.mark.parametrize(("token", "charged"), [("pm_sim_lost", 1), ("pm_sim_reset_before", 0)])
async def test_a_cut_connection_is_made_good_by_the_repeat_with_one_charge(
    simulator: Client, ledger_file: Path, token: str, charged: int
):
    call = simulator.call(token)

    with pytest.raises(aiohttp.ClientError):
        await simulator.sell(call)
    assert len(charges(ledger_file)) == charged
    again = await simulator.sell(call)

    assert again.kind == "APPROVED"
    assert charges(ledger_file) == [(call.reference, 1099, "USD")]


async def test_a_slow_call_is_unknown_to_a_repeat_while_it_runs_and_then_approved(
    simulator: Client, ledger_file: Path
):
    call = simulator.call("pm_sim_timeout")
    request = STRIPE.request(call, Credentials(simulator.url, KEY))
    assert not isinstance(request, Outcome)

    with pytest.raises(TimeoutError):
        async with simulator.http.post(
            simulator.url + request.path,
            headers=request.headers,
            data=request.body,
            timeout=aiohttp.ClientTimeout(total=0.5),
        ):
            pass
    repeat = await simulator.sell(call)

    assert short(repeat) == ("UNKNOWN", "idempotency_key_in_use")
    assert not repeat.repeat_is_useless
    found = await simulator.find(call)
    assert found is not None
    assert found.kind == "APPROVED"
    assert len(charges(ledger_file)) == 1


async def test_a_slow_call_ends_well(simulator: Client, ledger_file: Path):
    call = simulator.call("pm_sim_slow")

    assert (await simulator.sell(call)).kind == "APPROVED"
    assert charges(ledger_file) == [(call.reference, 1099, "USD")]


async def test_what_is_pending_is_found_approved_later(simulator: Client, ledger_file: Path):
    call = simulator.call("pm_sim_processing")
    pending = await simulator.sell(call)
    await until(lambda: len(charges(ledger_file)) == 1)

    assert short(await simulator.find(call, pending.psp_id)) == ("APPROVED", None)


@pytest.mark.parametrize(("result", "kind"), [("pass", "APPROVED"), ("fail", "DECLINED_SOFT")])
async def test_a_challenge_ends_where_the_shopper_takes_it(simulator: Client, result: str, kind: str):
    call = simulator.call("pm_card_threeDSecure2Required")
    requested = await simulator.sell(call, return_url="https://shop.example/back")
    assert requested.action_url is not None

    async with simulator.http.post(requested.action_url, data={"result": result}, allow_redirects=False):
        pass

    found = await simulator.find(call, requested.psp_id)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(("ours", "currency", "wire"), EXPRESSIBLE)
async def test_every_kind_of_amount_is_charged_as_requested(
    simulator: Client, ledger_file: Path, ours: int, currency: str, wire: int
):
    call = simulator.call(amount_minor=ours, currency=currency)

    outcome = await simulator.sell(call)

    assert (outcome.kind, outcome.amount_minor, outcome.currency) == ("APPROVED", ours, currency)
    assert charges(ledger_file) == [(call.reference, ours, currency)]


@pytest.mark.parametrize(
    "amount_minor", [amount for amount in AMOUNTS if AMOUNTS[amount].status != "succeeded"]
)
async def test_a_test_amount_does_what_its_token_does(simulator: Client, amount_minor: int):
    outcome = await simulator.sell(simulator.call(amount_minor=amount_minor))

    assert outcome.kind in {"DECLINED_SOFT", "PENDING"}


async def test_the_same_key_with_another_amount_is_looked_up_and_found_mismatched(
    simulator: Client, ledger_file: Path
):
    call = simulator.call()
    await simulator.sell(call)

    other = await simulator.sell(replace(call, amount_minor=1))

    assert short(other) == ("UNKNOWN", "idempotency_error")
    assert other.repeat_is_useless
    assert short(await simulator.find(replace(call, amount_minor=1))) == ("UNKNOWN", "amount_mismatch")
    assert len(charges(ledger_file)) == 1


async def test_a_wrong_secret_is_not_sent_and_needs_an_operator(simulator: Client):
    call = simulator.call()
    request = STRIPE.request(call, Credentials(simulator.url, "sk_test_wrong"))
    assert not isinstance(request, Outcome)

    outcome = STRIPE.outcome(call, await simulator.exchange(request))

    assert (outcome.kind, outcome.hint) == ("NOT_SENT", "CONFIG")


async def test_an_unknown_payment_method_is_refused_for_good(simulator: Client):
    outcome = await simulator.sell(simulator.call("pm_nobody"))

    assert short(outcome) == ("NOT_SENT", "invalid_request")
    assert "resource_missing" in (outcome.detail or "")


async def test_a_psp_that_fails_is_unknown_and_that_absence_is_found_afterwards(simulator: Client):
    call = simulator.call()
    await simulator.change(down_s=1, down="failing")
    assert short(await simulator.sell(call)) == ("UNKNOWN", "http_503")

    while (found := await simulator.find(call)) is not None:
        assert found.kind == "UNKNOWN"

    assert found is None
