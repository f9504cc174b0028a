"""A message's fields come from the client's parameters, and reach the aggregate, by their names."""

import inspect
from dataclasses import fields

from aggregates.decision import PAYMENT_FIELDS, PaymentRequest
from aggregates.operation import Report
from commands.client import Client
from commands.messages import CreatePayment, Outcome, RecordOutcome
from commands.reports import OF_THE_MESSAGE, OF_THE_OUTCOME


def test_each_field_of_a_report_comes_from_the_outcome_or_from_its_message():
    of_both = set(OF_THE_OUTCOME) & set(OF_THE_MESSAGE)
    converted = {"state", "balances"}

    assert of_both == set()
    assert {*OF_THE_OUTCOME, *OF_THE_MESSAGE} | converted == {one.name for one in fields(Report)}


def test_what_no_report_takes_from_an_outcome_is_named():
    converted = {"kind", "balances"}
    of_the_worker = {"known_as", "unlisted"}  # found payments by, and counted

    assert Outcome.model_fields.keys() - set(OF_THE_OUTCOME) == converted | of_the_worker
    assert RecordOutcome.model_fields.keys() - set(OF_THE_MESSAGE) == {
        "type",
        "command_id",
        "payment_id",
        "gateway",
        "account",
        "outcome",
    }


def test_a_create_has_each_field_of_a_payments_request():
    converted = {"amount"}

    assert {one.name for one in fields(PaymentRequest)} - converted <= CreatePayment.model_fields.keys()
    assert CreatePayment.model_fields.keys() - set(PAYMENT_FIELDS) == {
        "type",
        "command_id",
        "payment_id",
        "amount_minor",
        "currency",
        "expires_at",
    }


def test_a_producers_client_has_a_parameter_for_each_field_of_a_create():
    by_the_client = {"type", "command_id", "payment_id", "merchant_id", "expires_at"}
    parameters = inspect.signature(Client.create_payment).parameters.keys()

    assert parameters - {"self", "tracing", "expires_in"} == CreatePayment.model_fields.keys() - by_the_client
