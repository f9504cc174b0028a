"""The adapter against the simulator over HTTP: each flow to its end, in the ledger and in the webhooks."""

from dataclasses import replace

import pytest

from commands.messages import Outcome
from tests.gateways.simulator.adyen.shop import Shop, begin, later


async def test_a_sale_is_authorised_captured_and_approved_by_webhook(shop: Shop):
    call = begin("sale")
    held = await shop.send(call)
    assert (held.kind, held.next_step) == ("PENDING", "3")

    received = await shop.send(replace(call, step="3", psp_id=held.psp_id))
    authorised, captured = await shop.told("AUTHORISATION"), await shop.told("CAPTURE")

    assert (received.kind, received.psp_id) == ("PENDING", held.psp_id)
    assert (authorised.reference, authorised.outcome) == (call.reference, held)
    assert (captured.reference, captured.psp_id) == (call.reference, held.psp_id)
    assert captured.outcome == Outcome(kind="APPROVED", psp_id=held.psp_id, amount_minor=1099, currency="USD")
    assert shop.moved() == [
        ("authorized", call.reference, held.psp_id, 1099),
        ("captured", call.reference, held.psp_id, 1099),
    ]
    assert shop.may_move() == []


async def test_an_authorisation_is_captured_in_part_and_the_rest_is_let_go(shop: Shop):
    held = await shop.authorized()
    capture = later("capture", held, 400)

    outcome = await shop.send(capture)
    told = await shop.told("CAPTURE")

    assert (outcome.kind, outcome.amount_minor) == ("PENDING", 400)
    assert (told.reference, told.psp_id) == (capture.reference, outcome.psp_id)
    assert told.outcome is not None
    assert (told.outcome.kind, told.outcome.amount_minor) == ("APPROVED", 400)
    assert shop.moved()[1:] == [
        ("captured", capture.reference, held.psp_id, 400),
        ("released", capture.reference, held.psp_id, 699),
    ]


class TestSeveral:
    @pytest.fixture
    def options(self) -> dict[str, str]:
        return {"multicapture": "true"}

    async def test_captures_and_a_void_of_the_rest(self, shop: Shop):
        held = await shop.authorized()
        calls = [
            later("capture", held, 400),
            later("capture", held, 300, ordinal=3),
            later("void", held, ordinal=4),
        ]

        for call in calls:
            assert (await shop.send(call)).kind == "PENDING"
        await shop.told("CAPTURE", 2)
        cancelled = await shop.told("CANCELLATION")

        assert cancelled.reference == calls[2].reference
        assert cancelled.outcome is not None
        assert cancelled.outcome.kind == "APPROVED"
        assert shop.moved()[1:] == [
            ("captured", calls[0].reference, held.psp_id, 400),
            ("captured", calls[1].reference, held.psp_id, 300),
            ("released", calls[2].reference, held.psp_id, 399),
        ]

    async def test_one_capture_too_many_is_refused_by_webhook(self, shop: Shop):
        held = await shop.authorized()
        await shop.send(later("capture", held, 1000))
        too_many = later("capture", held, 100, ordinal=3)

        assert (await shop.send(too_many)).kind == "PENDING"
        told = await shop.told("CAPTURE", 2)

        assert told.reference == too_many.reference
        assert told.outcome is not None
        assert (told.outcome.kind, told.outcome.code) == ("DECLINED_HARD", "capture_failed")
        assert len(shop.moved()) == 2


async def test_a_void_lets_go_what_is_held_and_only_once(shop: Shop):
    held = await shop.authorized()
    first, second = later("void", held), later("void", held, ordinal=3)

    assert (await shop.send(first)).kind == "PENDING"
    assert (await shop.told("CANCELLATION")).outcome == Outcome(
        kind="APPROVED", psp_id=shop.notices("CANCELLATION")[0].psp_id
    )
    assert (await shop.send(second)).kind == "PENDING"
    refused = await shop.told("CANCELLATION", 2)

    assert refused.outcome is not None
    assert (refused.outcome.kind, refused.outcome.code) == ("DECLINED_HARD", "cancel_refused")
    assert shop.moved()[1:] == [("released", first.reference, held.psp_id, 1099)]


async def test_a_sale_is_given_back_in_parts_and_never_more_than_it_took(shop: Shop):
    sold = await shop.sold()
    refunds = [later("refund", sold, amount, ordinal) for ordinal, amount in ((2, 400), (3, 699), (4, 1))]

    outcomes = [await shop.send(refund) for refund in refunds]
    await shop.told("REFUND", 3)

    assert [one.kind for one in outcomes] == ["PENDING"] * 3
    by_reference = {one.reference: one.outcome for one in shop.notices("REFUND")}
    said = [by_reference[refund.reference] for refund in refunds]
    assert [one and (one.kind, one.amount_minor) for one in said] == [
        ("APPROVED", 400),
        ("APPROVED", 699),
        ("DECLINED_HARD", 1),
    ]
    assert [one and one.psp_id for one in said] == [one.psp_id for one in outcomes]
    assert [one[:2] for one in shop.moved()[2:]] == [
        ("refunded", refunds[0].reference),
        ("refunded", refunds[1].reference),
    ]


@pytest.mark.parametrize(
    ("token", "kind"), [("sim_RECEIVED", "APPROVED"), ("sim_RECEIVED_DECLINED", "DECLINED_SOFT")]
)
async def test_what_was_received_is_decided_by_webhook(shop: Shop, token: str, kind: str):
    outcome = await shop.send(begin("authorize", token))
    assert (outcome.kind, outcome.code) == ("PENDING", "Received")
    assert shop.may_move() == [outcome.psp_id]

    told = await shop.told("AUTHORISATION")

    assert told.psp_id == outcome.psp_id
    assert told.outcome is not None
    assert told.outcome.kind == kind
    assert shop.may_move() == []


async def test_a_part_is_held_and_said(shop: Shop):
    outcome = await shop.send(begin("authorize", "sim_PARTIAL"))
    told = await shop.told("AUTHORISATION")

    assert (outcome.kind, outcome.amount_minor) == ("APPROVED", 549)
    assert told.outcome is not None
    assert told.outcome.amount_minor == 549
    assert [one[3] for one in shop.moved()] == [549]


async def test_an_error_that_holds_the_money_is_told_by_webhook_and_replayed_for_ever(shop: Shop):
    call = begin("sale", "sim_ERROR_HELD")

    first, again = await shop.send(call), await shop.send(call)
    told = await shop.told("AUTHORISATION")

    assert first == again
    assert (first.kind, first.code, first.repeat_is_useless) == ("UNKNOWN", "Error", True)
    assert told.outcome is not None
    assert (told.outcome.kind, told.outcome.next_step) == ("PENDING", "3")
    assert (await shop.send(replace(call, step="3", psp_id=told.psp_id))).kind == "PENDING"


FAILURES = [
    ("sim_CAPTURE_REFUSED", "capture", ["CAPTURE"], "capture_failed"),
    ("sim_CAPTURE_FAILED", "capture", ["CAPTURE", "CAPTURE_FAILED"], "capture_failed"),
    ("sim_CANCEL_REFUSED", "void", ["CANCELLATION"], "cancel_refused"),
    ("sim_REFUND_REFUSED", "refund", ["REFUND"], "refund_failed"),
    ("sim_REFUND_FAILED", "refund", ["REFUND", "REFUND_FAILED"], "refund_failed"),
]


@pytest.mark.parametrize(("token", "kind", "events", "code"), FAILURES)
async def test_a_modification_fails_by_webhook_at_once_or_afterwards(
    shop: Shop, token: str, kind: str, events: list[str], code: str
):
    paid = await (shop.sold(token) if kind == "refund" else shop.authorized(token))
    call = later("capture" if kind == "capture" else "void" if kind == "void" else "refund", paid)

    assert (await shop.send(call)).kind == "PENDING"
    told = [await shop.told(event) for event in events]

    assert [one.reference for one in told] == [call.reference] * len(events)
    last = told[-1].outcome
    assert last is not None
    assert (last.kind, last.code) == ("DECLINED_HARD", code)
    done = {"capture": "captured", "void": "released", "refund": "refunded"}[kind]
    assert done not in {one[0] for one in shop.moved()}


@pytest.mark.parametrize(
    ("token", "events", "states"),
    [
        ("sim_CHARGEBACK", ["NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK"], ["opened", "opened"]),
        (
            "sim_CHARGEBACK_LOST",
            ["CHARGEBACK", "CHARGEBACK_REVERSED", "SECOND_CHARGEBACK"],
            ["opened", "opened", "lost"],
        ),
        (
            "sim_CHARGEBACK_WON",
            ["CHARGEBACK", "CHARGEBACK_REVERSED", "PREARBITRATION_WON"],
            ["opened", "opened", "won"],
        ),
    ],
)
async def test_a_dispute_follows_its_capture_stage_by_stage(
    shop: Shop, token: str, events: list[str], states: list[str]
):
    sold = await shop.sold(token)

    told = [await shop.told(event) for event in events]

    disputes = [one.dispute for one in told]
    assert [one and one.state for one in disputes] == states
    assert len({one.dispute_id for one in disputes if one}) == 1
    assert {(one.amount_minor, one.currency) for one in disputes if one} == {(1099, "USD")}
    assert all(one and one.respond_by is not None for one in disputes)
    assert {(one.reference, one.psp_id) for one in told} == {(sold.reference, sold.psp_id)}


@pytest.mark.parametrize(
    ("currency", "minor"), [("JPY", 500), ("KWD", 5124), ("ISK", 5), ("CLP", 1000), ("IDR", 1_500_000)]
)
async def test_amounts_are_the_same_here_and_there(shop: Shop, currency: str, minor: int):
    sold = await shop.sold(amount_minor=minor, currency=currency)
    await shop.send(later("refund", sold, minor))
    told = await shop.told("REFUND")

    assert told.outcome is not None
    assert (told.outcome.kind, told.outcome.amount_minor, told.outcome.currency) == (
        "APPROVED",
        minor,
        currency,
    )
    assert [one[3] for one in shop.moved()] == [minor] * 3
