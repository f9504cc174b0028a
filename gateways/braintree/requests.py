"""Braintree's calls, all of them a POST of one GraphQL document. Invariant: a repeat has the same bytes.

Source: the public GraphQL schema; the page on idempotency for `apiRequestKey`, which the schema does not
show.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateways.braintree import documents
from gateways.contract import Call, Credentials, HttpRequest

VERSION: Final = "2018-09-10"  # what the official libraries send
PATH: Final = "/graphql"

_ROOTS: Final = {
    "authorize": "authorizePaymentMethod",
    "sale": "chargePaymentMethod",
    "capture": "captureTransaction",
    "void": "reverseTransaction",
}
# Dynamic descriptors: the company's name of 3, 7 or 12 signs, a star, and up to 18, 14 or 9 signs.
_SIGN: Final = "[A-Za-z0-9 .+-]"
_DESCRIPTOR: Final = re.compile(
    rf"{_SIGN}{{3}}\*{_SIGN}{{1,18}}|{_SIGN}{{7}}\*{_SIGN}{{1,14}}|{_SIGN}{{12}}\*{_SIGN}{{1,9}}"
)


def gives_all_back(call: Call) -> bool:
    """True for a refund of all that was taken: it is a reversal, which does not have to await the
    settlement."""
    return call.kind == "refund" and call.target_minor is not None and call.amount_minor == call.target_minor


def reverses(call: Call) -> bool:
    """True for what is sent as a reversal."""
    return call.kind == "void" or gives_all_back(call)


def root(call: Call) -> str:
    """The mutation's field, under which its payload stands."""
    return "reverseTransaction" if reverses(call) else _ROOTS.get(call.kind, "refundTransaction")


def has_key(call: Call, credentials: Credentials) -> bool:
    """True where the mutation carries an idempotency key. Reversals take none."""
    return credentials.options.get("api_request_key") == "true" and not reverses(call)


def merchant_account(currency: str, credentials: Credentials) -> str | None:
    """The merchant account of a currency, which is how Braintree learns the currency: no input names it.
    None: none is set."""
    pairs = (pair.partition("=") for pair in credentials.options.get("merchant_accounts", "").split(","))
    return {name.strip(): account.strip() for name, _, account in pairs}.get(currency) or None


def descriptor(text: str, credentials: Credentials) -> str | None:
    """The text on the customer's statement. None: it cannot stand there."""
    name = credentials.options.get("statement_name")
    written = text if name is None or "*" in text else f"{name}*{text}"
    return written if _DESCRIPTOR.fullmatch(written) else None


def pay(call: Call, wire: str, account: str, statement: str | None, credentials: Credentials) -> HttpRequest:
    """Authorizes or charges a payment method."""
    transaction: dict[str, Any] = {
        "amount": wire,
        "orderId": call.reference,
        "merchantAccountId": account,
        **({} if statement is None else {"descriptor": {"name": statement}}),
        **_stored_credential(call),
    }
    document = documents.AUTHORIZE if call.kind == "authorize" else documents.CHARGE
    made = {"paymentMethodId": call.payment_method, "transaction": transaction}
    return _mutation(call, document, made, credentials)


def _stored_credential(call: Call) -> dict[str, Any]:
    stored = call.stored_credential
    if stored is None:
        return {}
    customer = {} if stored.customer_token is None else {"customerId": stored.customer_token}
    if stored.use == "store":
        return customer | {"vaultPaymentMethodAfterTransacting": {"when": "ON_SUCCESSFUL_TRANSACTION"}}
    return customer | ({"paymentInitiator": "UNSCHEDULED"} if stored.initiator == "merchant" else {})


def capture(call: Call, target: str, wire: str, credentials: Credentials) -> HttpRequest:
    """Captures a part or all of a transaction, once."""
    made = {"transactionId": target, "transaction": {"amount": wire}}
    return _mutation(call, documents.CAPTURE, made, credentials)


def reverse(call: Call, target: str, credentials: Credentials) -> HttpRequest:
    """Reverses a transaction: voids it, or refunds all of it once it is settled."""
    return _mutation(call, documents.REVERSE, {"transactionId": target}, credentials)


def refund(call: Call, target: str, wire: str, credentials: Credentials) -> HttpRequest:
    """Refunds a part of a settled transaction."""
    made = {"transactionId": target, "refund": {"amount": wire, "orderId": call.reference}}
    return _mutation(call, documents.REFUND, made, credentials)


def by_id(psp_id: str, credentials: Credentials) -> HttpRequest:
    """Reads a transaction or a refund."""
    return _post(documents.BY_ID, {"id": psp_id}, credentials)


def by_order_id(reference: str, credentials: Credentials) -> HttpRequest:
    """Searches the transactions with our reference."""
    return _post(documents.BY_ORDER_ID, {"input": {"orderId": {"is": reference}}}, credentials)


def by_id_and_order_id(psp_id: str, reference: str, credentials: Credentials) -> HttpRequest:
    """Reads the transaction, and searches whatever else was made under its order id."""
    variables = {"id": psp_id, "input": {"orderId": {"is": reference}}}
    return _post(documents.BY_ID_AND_ORDER_ID, variables, credentials)


def _mutation(call: Call, document: str, made: Mapping[str, Any], credentials: Credentials) -> HttpRequest:
    """`clientMutationId` is an echo, and no idempotency: it names the call in Braintree's own logs."""
    key = {"apiRequestKey": call.key} if has_key(call, credentials) else {}
    return _post(document, {"input": {"clientMutationId": call.key, **made, **key}}, credentials)


def _post(document: str, variables: Mapping[str, Any], credentials: Credentials) -> HttpRequest:
    who = f"{credentials.options.get('public_key', '')}:{credentials.secret}"
    headers = {
        "Authorization": f"Basic {base64.b64encode(who.encode()).decode()}",
        "Braintree-Version": VERSION,
        "Content-Type": "application/json",
    }
    return HttpRequest("POST", PATH, headers, orjson.dumps({"query": document, "variables": variables}))
