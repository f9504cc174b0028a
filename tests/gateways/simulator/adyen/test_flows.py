"""The adapter against the simulator over HTTP: each flow to its end, in the ledger and in the webhooks."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from commands.messages import Outcome
from tests.gateways.simulator.adyen.merchant import Merchant, begin, later
from tests.gateways.simulator.conftest import slowly
from tests.gateways.simulator.taken import taken


async def test_a_sale_is_authorised_captured_and_approved_by_webhook(merchant: Merchant):
    call = begin("sale")
    held = await merchant.send(call)
    assert (held.kind, held.next_step) == ("PENDING", "3")

    received = await merchant.send(replace(call, step="3", psp_id=held.psp_id))
    authorised, captured = await merchant.notice("AUTHORISATION"), await merchant.notice("CAPTURE")

    assert (received.kind, received.psp_id) == ("PENDING", held.psp_id)
    assert (authorised.reference, authorised.outcome) == (call.reference, held)
    assert (captured.reference, captured.psp_id) == (call.reference, held.psp_id)
    assert captured.outcome is not None
    (own,) = captured.outcome.known_as
    assert own != held.psp_id
    approved = Outcome(
        kind="APPROVED", psp_id=held.psp_id, amount_minor=1099, currency="USD", known_as=(own,)
    )
    assert captured.outcome == approved
    assert merchant.moved() == [
        ("authorized", call.reference, held.psp_id, 1099),
        ("captured", call.reference, held.psp_id, 1099),
    ]
    assert merchant.may_move() == []


async def test_an_authorisation_is_captured_in_part_and_the_rest_is_let_go(merchant: Merchant):
    held = await merchant.authorized()
    capture = later("capture", held, 400)

    outcome = await merchant.send(capture)
    notice = await merchant.notice("CAPTURE")

    assert (outcome.kind, outcome.amount_minor) == ("PENDING", 400)
    assert (notice.reference, notice.psp_id) == (capture.reference, outcome.psp_id)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.amount_minor) == ("APPROVED", 400)
    assert merchant.moved()[1:] == [
        ("captured", capture.reference, held.psp_id, 400),
        ("released", capture.reference, held.psp_id, 699),
    ]


class TestSeveral:
    @pytest.fixture
    def options(self) -> dict[str, str]:
        return {"multicapture": "true"}

    async def test_captures_and_a_void_of_the_rest(self, merchant: Merchant):
        held = await merchant.authorized()
        calls = [
            later("capture", held, 400),
            later("capture", held, 300, ordinal=3),
            later("void", held, ordinal=4),
        ]

        for call in calls:
            assert (await merchant.send(call)).kind == "PENDING"
        await merchant.notice("CAPTURE", 2)
        cancelled = await merchant.notice("CANCELLATION")

        assert cancelled.reference == calls[2].reference
        assert cancelled.outcome is not None
        assert cancelled.outcome.kind == "APPROVED"
        assert merchant.moved()[1:] == [
            ("captured", calls[0].reference, held.psp_id, 400),
            ("captured", calls[1].reference, held.psp_id, 300),
            ("released", calls[2].reference, held.psp_id, 399),
        ]

    async def test_one_capture_too_many_is_refused_by_webhook(self, merchant: Merchant):
        held = await merchant.authorized()
        await merchant.send(later("capture", held, 1000))
        too_many = later("capture", held, 100, ordinal=3)

        assert (await merchant.send(too_many)).kind == "PENDING"
        notice = await merchant.notice("CAPTURE", 2)

        assert notice.reference == too_many.reference
        assert notice.outcome is not None
        assert (notice.outcome.kind, notice.outcome.code) == ("DECLINED_HARD", "capture_failed")
        assert len(merchant.moved()) == 2


async def test_a_void_lets_go_what_is_held_and_only_once(merchant: Merchant):
    held = await merchant.authorized()
    first, second = later("void", held), later("void", held, ordinal=3)

    assert (await merchant.send(first)).kind == "PENDING"
    assert (await merchant.notice("CANCELLATION")).outcome == Outcome(
        kind="APPROVED", psp_id=merchant.notices("CANCELLATION")[0].psp_id
    )
    assert (await merchant.send(second)).kind == "PENDING"
    refused = await merchant.notice("CANCELLATION", 2)

    assert refused.outcome is not None
    assert (refused.outcome.kind, refused.outcome.code) == ("DECLINED_HARD", "cancel_refused")
    assert merchant.moved()[1:] == [("released", first.reference, held.psp_id, 1099)]


async def test_a_sale_is_given_back_in_parts_and_never_more_than_it_took(merchant: Merchant):
    sold = await merchant.sold()
    refunds = [later("refund", sold, amount, ordinal) for ordinal, amount in ((2, 400), (3, 699), (4, 1))]

    outcomes = [await merchant.send(refund) for refund in refunds]
    await merchant.notice("REFUND", 3)

    assert [one.kind for one in outcomes] == ["PENDING"] * 3
    by_reference = {one.reference: one.outcome for one in merchant.notices("REFUND")}
    found = [by_reference[refund.reference] for refund in refunds]
    assert [one and (one.kind, one.amount_minor) for one in found] == [
        ("APPROVED", 400),
        ("APPROVED", 699),
        ("DECLINED_HARD", 1),
    ]
    assert [one and one.psp_id for one in found] == [one.psp_id for one in outcomes]
    assert [one[:2] for one in merchant.moved()[2:]] == [
        ("refunded", refunds[0].reference),
        ("refunded", refunds[1].reference),
    ]


@slowly
@pytest.mark.parametrize(
    ("token", "kind"), [("sim_RECEIVED", "APPROVED"), ("sim_RECEIVED_DECLINED", "DECLINED_SOFT")]
)
async def test_what_was_received_is_decided_by_webhook(merchant: Merchant, token: str, kind: str):
    outcome = await merchant.send(begin("authorize", token))
    assert (outcome.kind, outcome.code) == ("PENDING", "Received")
    assert merchant.may_move() == [outcome.psp_id]

    notice = await merchant.notice("AUTHORISATION")

    assert notice.psp_id == outcome.psp_id
    assert notice.outcome is not None
    assert notice.outcome.kind == kind
    assert merchant.may_move() == []


async def test_a_part_is_held_and_reported(merchant: Merchant):
    outcome = await merchant.send(begin("authorize", "sim_PARTIAL"))
    notice = await merchant.notice("AUTHORISATION")

    assert (outcome.kind, outcome.amount_minor) == ("APPROVED", 549)
    assert notice.outcome is not None
    assert notice.outcome.amount_minor == 549
    assert [one[3] for one in merchant.moved()] == [549]


@pytest.mark.parametrize(("token", "code"), [("sim_ERROR_HELD", "Error"), ("sim_ACQUIRER_ERROR_HELD", "4")])
async def test_an_error_that_holds_the_money_is_reported_by_webhook_and_replayed_for_ever(
    merchant: Merchant, token: str, code: str
):
    call = begin("sale", token)

    first, again = await merchant.send(call), await merchant.send(call)
    notice = await merchant.notice("AUTHORISATION")

    assert first == again
    assert (first.kind, first.code, first.repeat_is_useless) == ("UNKNOWN", code, True)
    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.next_step) == ("PENDING", "3")
    assert (await merchant.send(replace(call, step="3", psp_id=notice.psp_id))).kind == "PENDING"
    assert [(one[0], one[3]) for one in merchant.moved()] == [("authorized", 1099), ("captured", 1099)]


@pytest.mark.parametrize("token", ["sim_ERROR", "sim_ACQUIRER_ERROR"])
async def test_an_error_that_holds_nothing_is_reported_as_a_refusal(merchant: Merchant, token: str):
    await merchant.send(begin("sale", token))
    notice = await merchant.notice("AUTHORISATION")

    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.code) == ("DECLINED_SOFT", "4")
    assert (merchant.moved(), merchant.may_move()) == ([], [])


FAILURES = [
    ("sim_CAPTURE_REFUSED", "capture", ["CAPTURE"], "capture_failed"),
    ("sim_CAPTURE_FAILED", "capture", ["CAPTURE", "CAPTURE_FAILED"], "capture_failed"),
    ("sim_CANCEL_REFUSED", "void", ["CANCELLATION"], "cancel_refused"),
    ("sim_REFUND_REFUSED", "refund", ["REFUND"], "refund_failed"),
    ("sim_REFUND_FAILED", "refund", ["REFUND", "REFUND_FAILED"], "refund_failed"),
]


@pytest.mark.parametrize(("token", "kind", "events", "code"), FAILURES)
async def test_a_modification_fails_by_webhook_at_once_or_afterwards(
    merchant: Merchant, token: str, kind: str, events: list[str], code: str
):
    paid = await (merchant.sold(token) if kind == "refund" else merchant.authorized(token))
    call = later("capture" if kind == "capture" else "void" if kind == "void" else "refund", paid)

    assert (await merchant.send(call)).kind == "PENDING"
    notices = [await merchant.notice(event) for event in events]

    assert [one.reference for one in notices] == [call.reference] * len(events)
    last = notices[-1].outcome
    assert last is not None
    assert (last.kind, last.code) == ("DECLINED_HARD", code)
    done = {"capture": "captured", "void": "released", "refund": "refunded"}[kind]
    assert done not in {one[0] for one in merchant.moved()}


@pytest.mark.parametrize(
    ("token", "events", "states"),
    [
        ("sim_CHARGEBACK", ["NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK"], ["inquiry", "opened"]),
        ("sim_REQUEST_FOR_INFORMATION", ["REQUEST_FOR_INFORMATION"], ["inquiry"]),
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
    merchant: Merchant, ledger_file: Path, token: str, events: list[str], states: list[str]
):
    sold = await merchant.sold(token)

    notices = [await merchant.notice(event) for event in events]

    disputes = [one.dispute for one in notices]
    assert [one and one.state for one in disputes] == states
    assert len({one.dispute_id for one in disputes if one}) == 1
    assert {(one.amount_minor, one.currency) for one in disputes if one} == {(1099, "USD")}
    assert all(one and one.respond_by is not None for one in disputes)
    assert {(one.reference, one.psp_id) for one in notices} == {(sold.reference, sold.psp_id)}
    kept = Decimal("10.99") if states[-1] in {"opened", "lost"} else Decimal()
    assert set(taken(ledger_file).values()) == {kept}


@pytest.mark.parametrize(
    ("currency", "minor"), [("JPY", 500), ("KWD", 5124), ("ISK", 5), ("CLP", 1000), ("IDR", 1_500_000)]
)
async def test_amounts_are_the_same_here_and_there(merchant: Merchant, currency: str, minor: int):
    sold = await merchant.sold(amount_minor=minor, currency=currency)
    await merchant.send(later("refund", sold, minor))
    notice = await merchant.notice("REFUND")

    assert notice.outcome is not None
    assert (notice.outcome.kind, notice.outcome.amount_minor, notice.outcome.currency) == (
        "APPROVED",
        minor,
        currency,
    )
    assert [one[3] for one in merchant.moved()] == [minor] * 3
