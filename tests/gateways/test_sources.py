"""The pages of a PSP's documentation that code names as its sources."""

import re
from pathlib import Path

import pytest

_GATEWAYS = Path(__file__).parents[2] / "gateways"
_NAMED = re.compile(r"(?<![\w.-])(docs\.stripe|docs\.adyen|developer\.paypal|razorpay)\.com((?:/[\w.-]*\w)*)")
# Each was found, with the content that it is named for, in a stored copy of that page, in the PSP's own
# OpenAPI description or client, or as a link of other projects. A page that is not here is to be looked up
# first, never guessed.
_CONFIRMED = {
    "docs.adyen": {
        "/api-explorer/Checkout/72/overview",
        "/development-resources/api-idempotency",
        "/development-resources/currency-codes",
        "/development-resources/error-codes",
        "/development-resources/raw-acquirer-responses",
        "/development-resources/refusal-reasons",
        "/development-resources/response-handling",
        "/development-resources/testing/result-codes",
        "/development-resources/webhooks",
        "/development-resources/webhooks/secure-webhooks",
        "/development-resources/webhooks/secure-webhooks/verify-hmac-signatures",
        "/online-payments/cancel",
        "/online-payments/payment-result-codes",
        "/risk-management/disputes-api/dispute-notifications",
    },
    "docs.stripe": {
        "/api",
        "/api/authentication",
        "/api/errors",
        "/api/idempotent_requests",
        "/api/metadata",
        "/api/payment_intents/cancel",
        "/api/payment_intents/object",
        "/api/payment_intents/search",
        "/api/refunds/object",
        "/currencies",
        "/declines/codes",
        "/declines/network-codes",
        "/error-codes",
        "/error-low-level",
        "/get-started/account/statement-descriptors",
        "/payments/paymentintents/lifecycle",
        "/payments/paypal/accept-a-payment",
        "/search",
        "/testing",
        "/webhooks",
        "/webhooks/signature",
    },
    "developer.paypal": {
        "/api/rest/authentication",
        "/api/rest/reference/currency-codes",
        "/api/rest/responses",
        "/api/rest/webhooks/event-names",
        "/api/rest/webhooks/rest",
        "/braintree/docs/guides/webhooks/parse",
        "/braintree/docs/reference/general/processor-responses/authorization-responses",
        "/braintree/graphql/guides/making_api_calls",
        "/braintree/graphql/reference",
        "/docs/api/orders/v2",
        "/docs/api/payments/v2",
        "/docs/api/webhooks/v1",
        "/tools/sandbox/card-testing",
    },
    "razorpay": {
        "/docs/api",
        "/docs/api/orders",
        "/docs/api/refunds",
        "/docs/errors",
        "/docs/payments/payments",
    },
}


def _named() -> set[tuple[str, str]]:
    return {
        (found[1], found[2])
        for file in _GATEWAYS.rglob("*.py")
        for found in _NAMED.finditer(file.read_text())
    }


def test_every_page_that_code_names_was_looked_up():
    assert {(host, path) for host, path in _named() if path not in _CONFIRMED[host]} == set()


@pytest.mark.parametrize("host", _CONFIRMED)
def test_no_page_is_kept_that_nothing_names(host):
    assert _CONFIRMED[host] == {path for of, path in _named() if of == host}
