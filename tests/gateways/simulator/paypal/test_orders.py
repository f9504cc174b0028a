"""The adapter against the simulator over HTTP: an authorize and a sale, every token, and the payer's page."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from gateways.simulator.core.ledger import read_movements
from gateways.simulator.paypal.scenarios import LATER_TOKENS, TOKENS
from tests.gateways.simulator.paypal.client import BACK, Client
from tests.support.movements import minor

LATE = {f"sim_{name}" for name in ("slow", "timeout", "late", "slow_body", "hang", "outage")}
CUT = {"sim_lost", "sim_reset_before"}
ANSWERS = {
    "sim_ok": ("APPROVED", None),
    "sim_pending": ("PENDING", "OTHER"),
    "sim_pending_declined": ("PENDING", "OTHER"),
    "sim_3ds": ("ACTION_REQUIRED", "PAYER_ACTION_REQUIRED"),
    "sim_3ds_declined": ("ACTION_REQUIRED", "PAYER_ACTION_REQUIRED"),
    "sim_declined_once": ("DECLINED_SOFT", "0500"),
    "sim_declined_twice": ("DECLINED_SOFT", "0500"),
    "sim_soft_here": ("DECLINED_SOFT", "5120"),
    "sim_dispute_won": ("APPROVED", None),
    "sim_dispute_lost": ("APPROVED", None),
    "sim_dispute_payout": ("APPROVED", None),
    "sim_inquiry": ("APPROVED", None),
    "CCREJECT-REFUSED": ("DECLINED_SOFT", "0500"),
    "CCREJECT-SF": ("DECLINED_HARD", "9500"),
    "CCREJECT-EC": ("DECLINED_HARD", "5400"),
    "CCREJECT-IRC": ("DECLINED_HARD", "5180"),
    "CCREJECT-IF": ("DECLINED_SOFT", "5120"),
    "CCREJECT-LS": ("DECLINED_HARD", "9520"),
    "CCREJECT-IA": ("DECLINED_HARD", "1330"),
    "CCREJECT-BANK_ERROR": ("DECLINED_SOFT", "5100"),
    "CCREJECT-CVV_F": ("DECLINED_SOFT", "00N7"),
    "sim_processor_0500": ("DECLINED_SOFT", "0500"),
    "sim_processor_5120": ("DECLINED_SOFT", "5120"),
    "sim_processor_5400": ("DECLINED_HARD", "5400"),
    "sim_processor_5650": ("DECLINED_SOFT", "5650"),
    "sim_processor_9500": ("DECLINED_HARD", "9500"),
    "sim_processor_00N7": ("DECLINED_SOFT", "00N7"),
    "sim_processor_5200": ("UNKNOWN", "5200"),
    "sim_processor_1340": ("NOT_SENT", "1340"),
    "sim_issue_AGREEMENT_ALREADY_CANCELLED": ("DECLINED_HARD", "AGREEMENT_ALREADY_CANCELLED"),
    "sim_issue_CARD_EXPIRED": ("DECLINED_HARD", "CARD_EXPIRED"),
    "sim_issue_COMPLIANCE_VIOLATION": ("DECLINED_HARD", "COMPLIANCE_VIOLATION"),
    "sim_issue_INSTRUMENT_DECLINED": ("DECLINED_SOFT", "INSTRUMENT_DECLINED"),
    "sim_issue_PAYEE_ACCOUNT_RESTRICTED": ("NOT_SENT", "PAYEE_ACCOUNT_RESTRICTED"),
    "sim_issue_PAYER_ACCOUNT_RESTRICTED": ("DECLINED_HARD", "PAYER_ACCOUNT_RESTRICTED"),
    "sim_issue_PAYER_CANNOT_PAY": ("DECLINED_SOFT", "PAYER_CANNOT_PAY"),
    "sim_issue_TRANSACTION_LIMIT_EXCEEDED": ("DECLINED_SOFT", "TRANSACTION_LIMIT_EXCEEDED"),
    "sim_issue_TRANSACTION_REFUSED": ("DECLINED_SOFT", "TRANSACTION_REFUSED"),
    "sim_429": ("NOT_SENT", "rate_limited"),
    "sim_429_once": ("NOT_SENT", "rate_limited"),
    "sim_429_twice": ("NOT_SENT", "rate_limited"),
    "sim_500": ("UNKNOWN", "INTERNAL_SERVER_ERROR"),
    "sim_500_once": ("UNKNOWN", "INTERNAL_SERVER_ERROR"),
    "sim_garbage": ("UNKNOWN", "unreadable_response"),
    "sim_wrong_amount": ("UNKNOWN", "amount_mismatch"),
    "sim_wrong_currency": ("UNKNOWN", "currency_mismatch"),
}


def test_every_token_has_its_row():
    assert set(TOKENS) == set(ANSWERS) | LATE | CUT


@pytest.mark.parametrize("token", ANSWERS)
@pytest.mark.parametrize("kind", ["sale", "authorize"])
async def test_a_token_has_its_outcome(paypal: Client, token: str, kind: str):
    outcome = await paypal.done(paypal.call(f"card:{token}", kind=kind))

    expected = ANSWERS[token]
    if (kind, expected[1]) == ("authorize", "OTHER"):
        expected = ("PENDING", "PENDING_REVIEW")
    assert (outcome.kind, outcome.code) == expected


@pytest.mark.parametrize("token", LATER_TOKENS)
async def test_a_token_for_a_later_call_is_taken(paypal: Client, token: str):
    assert (await paypal.done(paypal.call(token))).kind == "APPROVED"


@pytest.mark.parametrize("token", sorted(CUT))
async def test_a_response_that_was_lost_is_found_by_the_order(paypal: Client, token: str):
    call = await paypal.prepared(paypal.call(token))
    with pytest.raises(aiohttp.ClientError):
        await paypal.send(call)

    found = await paypal.find(call)

    if token == "sim_lost":
        assert found is not None
        assert found.kind == "APPROVED"
        # A repeat with the same key has the state as it is now; only a lookup tells all that moved in the
        # order.
        assert await paypal.send(call) == found.model_copy(update={"balances": None})
    else:
        assert found is None
        assert (await paypal.send(call)).kind == "APPROVED"


async def test_a_vault_id_that_is_not_known_is_refused(paypal: Client):
    outcome = await paypal.done(paypal.call("nobody"))

    assert (outcome.kind, outcome.code) == ("NOT_SENT", "TOKEN_ID_NOT_FOUND")


async def test_a_vaulted_wallet_is_taken_as_a_card_is(paypal: Client):
    assert (await paypal.done(paypal.call("paypal:sim_ok"))).kind == "APPROVED"
    declined = await paypal.done(paypal.call("paypal:sim_issue_PAYER_CANNOT_PAY"))
    assert declined.code == "PAYER_CANNOT_PAY"


@pytest.mark.parametrize("kind", ["sale", "authorize"])
async def test_a_wallet_agrees_on_the_page_and_is_taken_after_its_return(
    paypal: Client, ledger_file: Path, kind: str
):
    call = paypal.call("paypal", kind=kind)
    waiting = await paypal.send(call)
    assert (waiting.kind, waiting.next_step) == ("ACTION_REQUIRED", None)
    call = replace(call, psp_id=waiting.psp_id)
    assert (await paypal.find(call)) == waiting

    back = await paypal.decides(waiting.action_url)

    assert back.startswith(f"{BACK}?token=")
    agreed = await paypal.find(call)
    assert agreed is not None
    assert (agreed.kind, agreed.next_step) == ("PENDING", "2")
    assert list(read_movements(ledger_file)) == []
    taken = await paypal.send(replace(call, step="2"))
    assert (taken.kind, taken.amount_minor) == ("APPROVED", 1099)
    (moved,) = read_movements(ledger_file)
    assert (moved.kind, minor(moved)) == ("authorized" if kind == "authorize" else "captured", 1099)
    assert (moved.intent_id, moved.reference, moved.intent_reference) == (
        taken.psp_id,
        call.reference,
        call.reference,
    )


async def test_a_payer_who_came_back_without_agreeing_is_sent_there_again(paypal: Client):
    call = paypal.call("paypal")
    waiting = await paypal.send(call)
    await paypal.decides(waiting.action_url, "cancel")
    second = replace(call, step="2", psp_id=waiting.psp_id)

    again = await paypal.send(second)

    assert (again.kind, again.next_step, again.action_url) == ("ACTION_REQUIRED", None, waiting.action_url)
    waits = await paypal.find(replace(second, psp_id=again.psp_id))
    assert waits is not None
    assert waits.kind == "ACTION_REQUIRED"
    await paypal.decides(again.action_url)
    assert (await paypal.send(replace(second, step="3", psp_id=again.psp_id))).kind == "APPROVED"


@pytest.mark.parametrize(("token", "end"), [("sim_3ds", "APPROVED"), ("sim_3ds_declined", "DECLINED_SOFT")])
async def test_a_card_passes_3d_secure_and_is_taken_by_the_third_step(paypal: Client, token: str, end: str):
    call = await paypal.prepared(paypal.call(token))
    waiting = await paypal.send(call)
    assert (waiting.kind, waiting.next_step) == ("ACTION_REQUIRED", None)

    await paypal.decides(waiting.action_url)

    call = replace(call, psp_id=waiting.psp_id)
    passed = await paypal.find(call)
    assert passed is not None
    assert (passed.kind, passed.next_step) == ("PENDING", "3")
    assert (await paypal.send(replace(call, step="3"))).kind == end


async def test_3d_secure_that_is_demanded_comes_with_any_card(paypal: Client):
    outcome = await paypal.done(paypal.call("sim_ok", three_ds=True))

    assert (outcome.kind, outcome.next_step) == ("ACTION_REQUIRED", None)


async def test_a_repeat_of_each_step_gives_the_latest_state_and_takes_once(paypal: Client, ledger_file: Path):
    first = paypal.call()
    second = await paypal.prepared(first)
    taken = await paypal.send(second)

    assert await paypal.send(second) == taken
    assert await paypal.send(first) == taken
    assert len(list(read_movements(ledger_file))) == 1


async def test_another_step_finds_that_the_order_was_taken(paypal: Client):
    second = await paypal.prepared(paypal.call())
    await paypal.send(second)

    again = await paypal.send(replace(second, step="3"))

    assert (again.kind, again.code, again.repeat_is_useless) == ("UNKNOWN", "ORDER_ALREADY_CAPTURED", True)
    found = await paypal.find(second)
    assert found is not None
    assert found.kind == "APPROVED"


async def test_a_key_that_is_used_for_another_request_is_refused(paypal: Client):
    call = paypal.call()
    await paypal.send(call)

    outcome = await paypal.send(replace(call, amount_minor=999))

    assert (outcome.kind, outcome.code) == ("UNKNOWN", "DUPLICATE_REQUEST_ID")


async def test_an_order_of_another_account_is_not_there(paypal: Client):
    second = await paypal.prepared(paypal.call())
    other = await paypal.signed_in("sim-other-secret")

    assert (await other.send(second)).code == "INVALID_RESOURCE_ID"
    found = await other.find(second)
    assert found is not None
    assert (found.kind, found.code) == ("UNKNOWN", "psp_id_not_found")


async def test_declined_once_is_taken_by_the_next_attempt_at_the_payment(paypal: Client):
    call = paypal.call("sim_declined_once")
    assert (await paypal.done(call)).kind == "DECLINED_SOFT"

    assert (await paypal.done(replace(call, reference=f"{call.reference[:-1]}2"))).kind == "APPROVED"


@pytest.mark.parametrize(
    ("minor", "currency", "human"),
    [(500, "JPY", "500"), (1000, "HUF", "10"), (80000, "TWD", "800"), (5, "GBP", "0.05")],
)
async def test_amounts_of_every_kind_come_back_as_they_were(
    paypal: Client, ledger_file: Path, minor: int, currency: str, human: str
):
    outcome = await paypal.done(paypal.call(amount_minor=minor, currency=currency))

    assert (outcome.amount_minor, outcome.currency) == (minor, currency)
    (moved,) = read_movements(ledger_file)
    assert (moved.amount, moved.currency) == (Decimal(human), currency)
