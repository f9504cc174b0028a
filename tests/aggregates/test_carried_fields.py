"""A field of a report, or of a payment's request, is in the event made from it by construction."""

from dataclasses import asdict, fields
from datetime import timedelta

import pytest

from aggregates.decision import PAYMENT_FIELDS, PaymentFields
from aggregates.events import EVENTS, Contradicted, Reported, Requested
from aggregates.operation import OperationState, Report, ReportFields
from tests.support.builders import NOW, cause, operation_of, payment, report

WITHIN_A_REPORT_ONLY = {"state", "balances", "again_after_s", "signed_before"}
"""The state is the event's type; of the rest the decision keeps what it needs in fields of its own."""


def full_report(operation_id: str) -> Report:
    """Differs from every default, so that a field that is lost shows."""
    return report(
        operation_id,
        code="c",
        detail="d",
        hint="CONFIG",
        action_url="https://psp/3ds",
        repeat_is_useless=True,
        tries=3,
        next_step="2",
        unreached=True,
        issuer_code="51",
        issuer_advice="02",
    )


def test_the_example_report_differs_from_every_default():
    example = full_report("o")

    assert [one.name for one in fields(ReportFields) if getattr(example, one.name) == one.default] == []


@pytest.mark.parametrize("record", ["outcome", "report_status", "confirm", "identify", "contradict"])
def test_an_event_made_from_a_report_carries_each_of_its_fields(record: str):
    made = payment()
    reported = full_report(operation_of(made))
    more = {"reason": "w"} if record == "contradict" else {}
    getattr(made, record)(reported, cause=cause(NOW + timedelta(seconds=2)), **more)

    event = made.pending_events[-1]
    assert isinstance(event, Reported)
    assert event.shared() == reported.shared()
    assert event.__dict__.items() >= reported.shared().items()
    lost = {"balances": None, "again_after_s": None, "signed_before": False}
    assert asdict(event.report(reported.state)) == asdict(reported) | lost


def test_what_an_event_leaves_out_of_a_report_is_named():
    stored = {one.name for one in fields(Reported)}

    assert {one.name for one in fields(Report)} - stored == WITHIN_A_REPORT_ONLY


def test_every_event_with_a_reports_fields_is_made_by_construction():
    named = {one.name for one in fields(ReportFields)}
    alike = [one for one in EVENTS.values() if named <= {field.name for field in fields(one)}]

    assert all(issubclass(one, Reported) for one in alike)
    assert Contradicted in alike
    assert len(alike) == len(OperationState) - 1 + 4  # each state but STARTED; and those beside an outcome


def test_a_payments_first_event_carries_each_field_of_its_request():
    given = {
        "stored_credential": {"use": "reuse", "initiator": "merchant", "customer_token": None},
        "customer_id": "customer-7",
        "country": "DE",
        "description": "d",
        "statement_text": "s",
        "return_page": "https://shop/back",
        "metadata": {"a": "b"},
        "payment_methods": {"stripe": "pm_1", "adyen": "8416"},
        "method": "wallet",
        "card": {"bin": "424242", "country": None, "scheme": "visa", "funding": None},
    }
    event = payment(**given).pending_events[0]

    assert isinstance(event, Requested)
    assert event.__dict__.items() >= given.items()
    assert event.shared().keys() == set(PAYMENT_FIELDS) == {one.name for one in fields(PaymentFields)}
