"""The requests to Braintree, byte for byte, and what is never sent to it."""

import base64
from dataclasses import replace
from typing import Any

import orjson
import pytest

from commands.messages import Outcome
from gateways.braintree.adapter import FACTS, Braintree
from gateways.braintree.requests import merchant_account
from gateways.contract import Call, Credentials, Gateway, HttpRequest, SignsIn, StoredCredential
from tests.gateways.braintree.payloads import (
    AUTHORIZE,
    CALL,
    CAPTURE,
    CREDENTIALS,
    PRIVATE_KEY,
    PUBLIC_KEY,
    REFERENCE,
    REFUND_ALL,
    REFUND_ID,
    REFUND_PART,
    TRANSACTION_ID,
    VOID,
    WITH_KEY,
    later,
)

BRAINTREE: Gateway = Braintree()
PAID = {"amount": "10.99", "orderId": REFERENCE, "merchantAccountId": "acct_usd"}


def request_of(call: Call, credentials: Credentials = CREDENTIALS) -> HttpRequest:
    request = BRAINTREE.request(call, credentials)
    assert isinstance(request, HttpRequest)
    return request


def variables(request: HttpRequest | Outcome) -> Any:
    assert isinstance(request, HttpRequest)
    assert request.body is not None
    return orjson.loads(request.body)["variables"]


def made(call: Call, credentials: Credentials = CREDENTIALS) -> Any:
    return variables(request_of(call, credentials))["input"]


def refusal(call: Call, credentials: Credentials = CREDENTIALS) -> Outcome:
    outcome = BRAINTREE.request(call, credentials)
    assert isinstance(outcome, Outcome)
    assert outcome.kind == "NOT_SENT"
    return outcome


def test_every_call_is_a_post_of_json_signed_in_with_the_pair_of_keys():
    request = request_of(CALL)

    assert (request.method, request.path) == ("POST", "/graphql")
    who = base64.b64encode(f"{PUBLIC_KEY}:{PRIVATE_KEY}".encode()).decode()
    assert request.headers == {
        "Authorization": f"Basic {who}",
        "Braintree-Version": "2018-09-10",
        "Content-Type": "application/json",
    }


@pytest.mark.parametrize(
    ("call", "mutation", "wanted"),
    [
        (CALL, "chargePaymentMethod", {"paymentMethodId": "fake-valid-nonce", "transaction": PAID}),
        (
            AUTHORIZE,
            "authorizePaymentMethod",
            {"paymentMethodId": "fake-valid-nonce", "transaction": PAID | {"orderId": AUTHORIZE.reference}},
        ),
        (
            CAPTURE,
            "captureTransaction",
            {"transactionId": TRANSACTION_ID, "transaction": {"amount": "4.00"}},
        ),
        (VOID, "reverseTransaction", {"transactionId": TRANSACTION_ID}),
        (REFUND_ALL, "reverseTransaction", {"transactionId": TRANSACTION_ID}),
        (
            REFUND_PART,
            "refundTransaction",
            {
                "transactionId": TRANSACTION_ID,
                "refund": {"amount": "4.00", "orderId": REFUND_PART.reference},
            },
        ),
    ],
    ids=["sale", "authorize", "capture", "void", "refund", "refund of a part"],
)
def test_each_operation_is_one_mutation(call: Call, mutation: str, wanted: Any):
    request = request_of(call)

    assert request.body is not None
    assert f"{mutation}(input: $input)" in orjson.loads(request.body)["query"]
    assert variables(request) == {"input": {"clientMutationId": call.key, **wanted}}


@pytest.mark.parametrize("call", [CALL, AUTHORIZE, CAPTURE, VOID, REFUND_ALL, REFUND_PART])
@pytest.mark.parametrize("credentials", [CREDENTIALS, WITH_KEY])
def test_a_repeat_has_the_same_bytes_whatever_was_learnt_meanwhile(call: Call, credentials: Credentials):
    assert request_of(call, credentials) == request_of(
        replace(call, psp_id="dHI", returned={"a": "b"}), credentials
    )


@pytest.mark.parametrize("call", [CALL, AUTHORIZE, CAPTURE, REFUND_PART])
def test_the_key_is_sent_where_the_account_has_it(call: Call):
    assert made(call, WITH_KEY) == made(call) | {"apiRequestKey": call.key}
    assert BRAINTREE.key_life_s(call, WITH_KEY) == 29 * 24 * 3600 == FACTS.key_life_s
    assert BRAINTREE.key_life_s(call, CREDENTIALS) == 0


@pytest.mark.parametrize("call", [VOID, REFUND_ALL])
def test_a_reversal_has_no_key(call: Call):
    assert "apiRequestKey" not in made(call, WITH_KEY)
    assert BRAINTREE.key_life_s(call, WITH_KEY) == 0


@pytest.mark.parametrize(
    ("currency", "account"), [("USD", "acct_usd"), ("EUR", "acct_eur"), ("JPY", "acct_jpy"), ("GBP", None)]
)
def test_the_merchant_account_decides_the_currency(currency: str, account: str | None):
    assert merchant_account(currency, CREDENTIALS) == account


@pytest.mark.parametrize("text", ["", "USD", "USD=", "=acct", "usd=acct_usd", ",,,"])
def test_a_currency_without_a_merchant_account_is_not_sent(text: str):
    credentials = replace(CREDENTIALS, options={"public_key": PUBLIC_KEY, "merchant_accounts": text})

    assert refusal(CALL, credentials).code == "currency_not_supported"


def test_three_d_secure_cannot_be_demanded_after_there_is_a_token():
    outcome = refusal(replace(CALL, three_ds=True))

    assert (outcome.code, outcome.hint) == ("three_ds_at_the_merchant", "REFRESH_TOKEN")


@pytest.mark.parametrize(
    "call",
    [later(kind, target_psp_id=None) for kind in ("capture", "void", "refund")],  # type: ignore[arg-type]
)
def test_what_acts_on_an_unknown_transaction_is_not_sent(call: Call):
    assert refusal(call).code == "target_unknown"
    lookup = BRAINTREE.lookup(call, CREDENTIALS)
    assert isinstance(lookup, Outcome)
    assert (lookup.kind, lookup.code) == ("UNKNOWN", "target_unknown")


def test_a_void_after_a_capture_is_not_sent_because_it_would_give_the_captured_money_back():
    assert refusal(later("void", 699)).code == "captured"


@pytest.mark.parametrize("text", ["ABC*A shop, with a comma", "Shop", "ABCD*order 7", "ABC*" + "x" * 19])
def test_a_text_that_may_not_stand_on_a_statement_is_not_sent(text: str):
    assert refusal(replace(CALL, statement_text=text)).code == "statement_text_not_expressible"


@pytest.mark.parametrize(
    ("name", "text", "written"),
    [
        (None, "ABC*order 7", "ABC*order 7"),
        ("MY SHOP", "order 7", "MY SHOP*order 7"),
        ("MY SHOP", "TWELVE SIGNS*order 7", "TWELVE SIGNS*order 7"),
    ],
)
def test_a_statement_text_follows_the_companys_name(name: str | None, text: str, written: str):
    options = {**CREDENTIALS.options, **({} if name is None else {"statement_name": name})}

    sent = made(replace(CALL, statement_text=text), replace(CREDENTIALS, options=options))

    assert sent["transaction"]["descriptor"] == {"name": written}


@pytest.mark.parametrize(
    ("stored", "more"),
    [
        (
            StoredCredential("store", "customer", "cus-1"),
            {
                "customerId": "cus-1",
                "vaultPaymentMethodAfterTransacting": {"when": "ON_SUCCESSFUL_TRANSACTION"},
            },
        ),
        (StoredCredential("reuse", "customer", "cus-1"), {"customerId": "cus-1"}),
        (StoredCredential("reuse", "merchant", None), {"paymentInitiator": "UNSCHEDULED"}),
    ],
)
def test_a_stored_payment_method_is_named_as_such(stored: StoredCredential, more: dict[str, Any]):
    assert made(replace(CALL, stored_credential=stored))["transaction"] == PAID | more


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (CALL, {"input": {"orderId": {"is": REFERENCE}}}),
        (
            replace(CALL, psp_id=TRANSACTION_ID),
            {"id": TRANSACTION_ID, "input": {"orderId": {"is": REFERENCE}}},
        ),
        (AUTHORIZE, {"input": {"orderId": {"is": AUTHORIZE.reference}}}),
        (CAPTURE, {"id": TRANSACTION_ID}),
        (VOID, {"id": TRANSACTION_ID}),
        (REFUND_ALL, {"id": TRANSACTION_ID}),
        (REFUND_PART, {"id": TRANSACTION_ID}),
        (replace(REFUND_PART, psp_id=REFUND_ID), {"id": REFUND_ID}),
    ],
)
def test_a_lookup_goes_by_the_id_where_there_is_one(call: Call, wanted: Any):
    assert variables(BRAINTREE.lookup(call, CREDENTIALS)) == wanted


def test_only_what_is_read_by_its_id_proves_an_absence():
    delays = [BRAINTREE.absence_delay_s(call) for call in (CALL, AUTHORIZE, CAPTURE, VOID, REFUND_PART)]

    assert delays == [None, None, 3600.0, 3600.0, 3600.0]


def test_nothing_waits_for_a_customer_so_nothing_can_be_ended():
    outcome = BRAINTREE.cancel(CALL, CREDENTIALS)

    assert isinstance(outcome, Outcome)
    assert outcome.kind == "UNKNOWN"
    assert BRAINTREE.steps_we_send(CALL) == ()
    assert not isinstance(BRAINTREE, SignsIn)


def test_the_secret_stands_in_one_header_and_in_no_repr():
    request = request_of(CALL, WITH_KEY)

    assert PRIVATE_KEY not in repr(request)
    assert PRIVATE_KEY.encode() not in (request.body or b"")
    assert [name for name, value in request.headers.items() if PRIVATE_KEY in value] == []
    assert PRIVATE_KEY in base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
