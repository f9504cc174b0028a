"""The adapter against the simulator over HTTP: what happens to a payment after its first call, and what the
ledger holds then."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest

from commands.messages import Outcome
from gateways.contract import Call, Credentials
from gateways.simulator import registry
from gateways.simulator.core.ledger import Ledger, read_movements
from gateways.simulator.core.server import serving
from tests.gateways.simulator.client import ACCOUNTS, OVER_KEY, PLAIN_KEY, STRIPE, Client
from tests.support.movements import minor

Later = Literal["capture", "void", "refund"]


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def several(ledger_file: Path) -> AsyncIterator[Client]:
    """An account that may capture several times."""
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


@pytest.fixture
def once(several: Client) -> Client:
    """An account that may not."""
    return several.of_account(PLAIN_KEY)


async def authorize(client: Client, token: str = "pm_card_visa", **requested: Any) -> Call:
    """The call, with Stripe's id of what it holds."""
    call = client.call(token, kind="authorize", **requested)
    call = replace(call, reference=call.reference.replace("-s1", "-a1"))
    outcome = await client.sell(call)
    assert outcome.psp_id is not None, outcome
    return replace(call, psp_id=outcome.psp_id)


def later(kind: Later, target: Call, amount_minor: int, ordinal: int = 2, **requested: Any) -> Call:
    return replace(
        target,
        kind=kind,
        reference=f"{target.reference.partition('-')[0]}-{kind[0]}{ordinal}",
        amount_minor=amount_minor,
        target_reference=target.reference,
        target_psp_id=target.psp_id,
        psp_id=None,
        **{"final": False} | requested,
    )


async def cancel(client: Client, call: Call) -> Outcome:
    request = STRIPE.cancel(replace(call, step="x"), Credentials(client.url, client.secret))
    assert not isinstance(request, Outcome)
    return STRIPE.cancelled(call, await client.exchange(request))


def short(outcome: Outcome | None) -> tuple[str, str | None] | None:
    return None if outcome is None else (outcome.kind, outcome.code)


def moved(ledger_file: Path) -> list[tuple[str, str, int | None]]:
    """What happened to money: the kind, the operation within its payment, and how much."""
    return [(one.kind, one.reference.rpartition("-")[2], minor(one)) for one in read_movements(ledger_file)]


APPROVED = ("APPROVED", None)
HELD = ("authorized", "a1", 1099)


async def test_an_authorization_holds_and_a_capture_of_all_takes(once: Client, ledger_file: Path):
    held = await authorize(once)
    capture = later("capture", held, 1099, final=True)

    assert await once.find(capture) is None
    assert moved(ledger_file) == [HELD]
    first, again = await once.sell(capture), await once.sell(capture)

    assert first == again.model_copy(update={"detail": first.detail})
    assert short(first) == short(await once.find(capture)) == APPROVED
    assert first.amount_minor == 1099
    assert moved(ledger_file) == [HELD, ("captured", "c2", 1099)]


async def test_a_capture_of_a_part_releases_the_rest_where_there_can_be_only_one(
    once: Client, ledger_file: Path
):
    held = await authorize(once)

    assert short(await once.sell(later("capture", held, 400))) == APPROVED
    assert moved(ledger_file) == [HELD, ("captured", "c2", 400), ("released", "c2", 699)]
    another = later("capture", held, 699, 3)
    assert short(await once.sell(another)) == ("NOT_SENT", "unexpected_state")
    assert await once.find(another) is None


async def test_several_captures_each_know_their_own_amount(several: Client, ledger_file: Path):
    held = await authorize(several, multicapture=True)
    parts = [
        later("capture", held, 400, 2),
        later("capture", held, 100, 3),
        later("capture", held, 200, 4, final=True),
    ]

    for part in parts:
        assert short(await several.sell(part)) == APPROVED

    assert [found and found.amount_minor for found in [await several.find(part) for part in parts]] == [
        400,
        100,
        200,
    ]
    assert short(await several.find(held, held.psp_id)) == APPROVED
    assert moved(ledger_file) == [
        HELD,
        ("captured", "c2", 400),
        ("captured", "c3", 100),
        ("captured", "c4", 200),
        ("released", "c4", 399),
    ]


@pytest.mark.parametrize(
    ("amount_minor", "expected"), [(1300, APPROVED), (1400, ("NOT_SENT", "invalid_request"))]
)
async def test_a_capture_may_pass_the_authorization_as_far_as_the_account_may(
    several: Client, amount_minor: int, expected: tuple[str, str | None]
):
    client = several.of_account(OVER_KEY)
    held = await authorize(client, overcapture=True)

    assert short(await client.sell(later("capture", held, amount_minor, final=True))) == expected


async def test_a_void_releases_all_and_is_seen_afterwards(once: Client, ledger_file: Path):
    held = await authorize(once)
    void = later("void", held, 1099)

    assert await once.find(void) is None
    assert short(await once.sell(void)) == short(await once.sell(void)) == APPROVED
    assert short(await once.find(void)) == APPROVED
    assert moved(ledger_file) == [HELD, ("released", "v2", 1099)]
    # A capture behind it, and another void, find it done.
    assert short(await once.sell(later("capture", held, 1099, 3))) == ("DECLINED_HARD", "target_canceled")
    assert short(await once.sell(later("void", held, 1099, 4))) == APPROVED


async def test_a_void_releases_what_is_left_after_a_capture(several: Client, ledger_file: Path):
    held = await authorize(several, multicapture=True)
    part, rest = later("capture", held, 400), later("void", held, 699, 3)

    assert short(await several.sell(part)) == APPROVED
    assert short(await several.sell(rest)) == APPROVED

    assert [short(await several.find(call)) for call in (part, rest)] == [APPROVED, APPROVED]
    assert moved(ledger_file) == [HELD, ("captured", "c2", 400), ("released", "v3", 699)]


async def test_a_void_of_what_was_captured_is_not_sent(once: Client):
    held = await authorize(once)
    await once.sell(later("capture", held, 1099))

    assert short(await once.sell(later("void", held, 1099, 3))) == ("NOT_SENT", "unexpected_state")
    assert await once.find(later("void", held, 1099, 3)) is None


async def test_refunds_give_back_until_there_is_nothing_left(once: Client, ledger_file: Path):
    sale = once.call()
    sale = replace(sale, psp_id=(await once.sell(sale)).psp_id)
    parts = [later("refund", sale, 400, 2), later("refund", sale, 699, 3), later("refund", sale, 1, 4)]

    assert await once.find(parts[0]) is None
    outcomes = [await once.sell(part) for part in parts]
    again = await once.sell(parts[0])

    assert [short(outcome) for outcome in outcomes] == [APPROVED, APPROVED, ("NOT_SENT", "invalid_request")]
    assert again.psp_id == outcomes[0].psp_id
    for part, outcome in zip(parts[:2], outcomes, strict=False):
        by_list, by_id = await once.find(part), await once.find(part, outcome.psp_id)
        assert by_list is not None
        assert by_id is not None
        assert (by_list.psp_id, by_list.amount_minor) == (by_id.psp_id, part.amount_minor)
    assert await once.find(parts[2]) is None
    assert moved(ledger_file) == [
        ("captured", "s1", 1099),
        ("refunded", "r2", 400),
        ("refunded", "r3", 699),
    ]


@pytest.mark.parametrize(
    ("token", "first", "end"),
    [
        ("pm_card_pendingRefund", ("PENDING", "pending"), APPROVED),
        (
            "pm_sim_refund_pending_fails",
            ("PENDING", "pending"),
            ("DECLINED_HARD", "expired_or_canceled_card"),
        ),
        (
            "pm_sim_refund_failed",
            ("DECLINED_HARD", "expired_or_canceled_card"),
            ("DECLINED_HARD", "expired_or_canceled_card"),
        ),
    ],
)
async def test_a_refund_that_is_pending_is_found_as_it_ended(
    once: Client, token: str, first: tuple[str, str], end: tuple[str, str | None]
):
    sale = once.call(token)
    sale = replace(sale, psp_id=(await once.sell(sale)).psp_id)
    refund = later("refund", sale, 1099)

    assert short(await once.sell(refund)) == first
    async with asyncio.timeout(20):
        while short(await once.find(refund)) != end:  # noqa: ASYNC110 - the simulator settles by its own clock
            await asyncio.sleep(0.05)


FAULTS = {
    "429": (("NOT_SENT", "rate_limited"), False),
    "500": (("UNKNOWN", "http_500"), False),
    "500_once": (("UNKNOWN", "http_500"), False),
    "garbage": (("UNKNOWN", "unreadable_response"), True),
    "wrong_amount": (("UNKNOWN", "amount_mismatch"), True),
    "wrong_currency": (("UNKNOWN", "currency_mismatch"), True),
}


@pytest.mark.parametrize("kind", ["capture", "void", "refund"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_what_goes_wrong_with_a_later_call_is_reported_by_a_lookup(
    once: Client, ledger_file: Path, kind: Later, fault: str
):
    call = await _prepared(once, kind, fault)
    before = len(moved(ledger_file))
    expected, done = FAULTS[fault]

    assert short(await once.sell(call)) == expected

    assert (short(await once.find(call)) == APPROVED) == done
    assert len(moved(ledger_file)) - before == (1 if done else 0)


@pytest.mark.parametrize("kind", ["capture", "void", "refund"])
@pytest.mark.parametrize(("fault", "done"), [("lost", True), ("reset_before", False)])
async def test_a_later_call_whose_connection_was_cut_is_done_once(
    once: Client, ledger_file: Path, kind: Later, *, fault: str, done: bool
):
    call = await _prepared(once, kind, fault)
    before = len(moved(ledger_file))

    with pytest.raises(aiohttp.ClientError):
        await once.sell(call)
    assert (short(await once.find(call)) == APPROVED) == done
    assert len(moved(ledger_file)) - before == (1 if done else 0)
    if fault == "reset_before":
        assert short(await once.sell(call)) == APPROVED

    assert len(moved(ledger_file)) - before == 1


async def _prepared(client: Client, kind: Later, fault: str) -> Call:
    """The later call, for all of it, on a payment that its fault waits for."""
    token = f"pm_sim_{'cancel' if kind == 'void' else kind}_{fault}"
    if kind != "refund":
        return later(kind, await authorize(client, token), 1099, final=True)
    sale = client.call(token)
    return later("refund", replace(sale, psp_id=(await client.sell(sale)).psp_id), 1099)


# Challenges


@pytest.mark.parametrize("kind", ["authorize", "sale"])
async def test_an_open_challenge_is_ended_and_nobody_can_pass_it_any_more(
    once: Client, ledger_file: Path, kind: Any
):
    call = once.call("pm_card_threeDSecure2Required", kind=kind)
    requested = await once.sell(call, return_url="https://shop.example/back")
    assert (requested.kind, requested.action_url is None) == ("ACTION_REQUIRED", False)
    call = replace(call, psp_id=requested.psp_id)

    assert short(await cancel(once, call)) == short(await cancel(once, call)) == ("EXPIRED", "canceled")

    async with once.http.post(str(requested.action_url), data={"result": "pass"}, allow_redirects=False):
        pass
    assert short(await once.find(call, call.psp_id)) == ("EXPIRED", "canceled")
    assert moved(ledger_file) == []


async def test_a_cancel_that_comes_after_the_customer_says_what_was_taken(once: Client, ledger_file: Path):
    call = once.call(three_ds=True)
    requested = await once.sell(call, return_url="https://shop.example/back")
    async with once.http.post(str(requested.action_url), data={"result": "pass"}, allow_redirects=False):
        pass

    late = await cancel(once, replace(call, psp_id=requested.psp_id))

    assert (late.kind, late.amount_minor) == ("APPROVED", 1099)
    assert moved(ledger_file) == [("captured", "s1", 1099)]


async def test_two_accounts_know_nothing_of_each_others_payments(several: Client, once: Client):
    held = await authorize(once)

    assert await several.find(held) is None
    assert short(await several.find(held, held.psp_id)) == ("UNKNOWN", "psp_id_not_found")
    assert short(await several.sell(later("capture", held, 1099))) == ("NOT_SENT", "resource_missing")
