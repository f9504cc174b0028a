"""The schemes' limits on retries, with every process: what they forbid never reaches a PSP."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from commands.client import Client, Refused
from commands.reply import Reply
from tests.support.processes import ALL, TWO_ACCOUNTS, Running, running

pytestmark = pytest.mark.stack

VISA = {"scheme": "visa", "bin": "424242"}
FUNDS = "pm_card_visa_chargeDeclinedInsufficientFunds"


@pytest.fixture
async def stack(environment, tmp_path) -> AsyncIterator[Running]:
    """With a merchant that makes one attempt for each payment, so that payments and attempts count alike."""
    key = tmp_path / "fingerprint.key"
    key.write_text("a key of tests, of thirty-two bytes or more")
    one_each = TWO_ACCOUNTS.replace(
        "[accounts.sim-eu]", "[merchants.demo.retry]\nattempts_max = 1\n[accounts.sim-eu]"
    )
    others = [name for name in ALL if name != "command"]
    async with running(environment, tmp_path, *others, accounts=one_each) as made:
        await made.start("command", fingerprint_key_file=key)
        yield made


async def pay(client: Client, key: str, token: str, amount_minor: int = 1099) -> Reply:
    reply: Reply | None
    try:
        reply = await client.pay(
            idempotency_key=key,
            amount_minor=amount_minor,
            currency="EUR",
            payment_method=token,
            card=VISA,
            timeout_s=60,
        )
    except Refused as refused:
        reply = refused.reply
    assert reply is not None
    return reply


async def calls(stack: Running, payment: UUID | None) -> int:
    """The calls to a PSP about a payment: each is claimed before it is sent."""
    assert payment is not None
    [(count,)] = await stack.rows(
        "SELECT coalesce(sum(tries), 0) FROM gateway_sends WHERE operation_id LIKE %s", f"{payment.hex}-%"
    )
    return int(count)


async def test_the_16th_attempt_of_a_card_and_amount_is_refused_without_a_call(stack: Running):
    async with stack.client(reply_timeout_s=60) as client:
        tried = [await pay(client, f"order-{number}", FUNDS) for number in range(15)]
        refused = await pay(client, "order-15", FUNDS)
        another_amount = await pay(client, "order-16", FUNDS, 1100)
        another_card = await pay(client, "order-17", "pm_card_visa")

    assert [reply.status for reply in tried] == ["FAILED"] * 15
    assert sum([await calls(stack, reply.payment_id) for reply in tried]) == 15
    assert (refused.status, refused.code) == ("REJECTED", "no_psp_account")
    assert refused.detail is not None
    assert refused.detail.startswith(
        "15 declines of this card and amount within 30 days: visa allows no other"
    )
    assert await calls(stack, refused.payment_id) == 0
    assert (another_amount.status, another_card.status) == ("FAILED", "CAPTURED")
    assert (await stack.verdict()).ok


async def test_a_code_that_forbids_every_attempt_is_followed_by_no_other_account_and_no_other_payment(
    stack: Running,
):
    # As with a merchant that tries three times: the decline is a soft one, which otherwise goes on elsewhere.
    await stack.kill("command")
    stack.accounts.write_text(stack.accounts.read_text().replace("attempts_max = 1", "attempts_max = 3"))
    await stack.start("command", fingerprint_key_file=stack.folder / "fingerprint.key")
    async with stack.client(reply_timeout_s=60) as client:
        elsewhere = await pay(client, "order-0", FUNDS, 4200)
        forbidden = await pay(client, "order-1", "pm_sim_never_again")
        again = await pay(client, "order-2", "pm_sim_never_again")

    assert await calls(stack, elsewhere.payment_id) > 1
    assert forbidden.status == "FAILED"
    assert await calls(stack, forbidden.payment_id) == 1
    assert again.status == "REJECTED"
    assert again.detail is not None
    assert again.detail.endswith("with 14: visa allows no other attempt")
    assert await calls(stack, again.payment_id) == 0
    [(reason,)] = await stack.rows(
        "SELECT convert_from(state, 'UTF8')::json ->> 'reason' FROM payment_events "
        "WHERE originator_id = %s AND topic = 'payment.attempts_ended.v1'",
        forbidden.payment_id,
    )
    assert "with 14: visa allows no other" in reason
    assert (await stack.verdict()).ok
