"""Reads Adyen's JSON, checked as far as the adapter uses it, and writes errors in Adyen's words."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.simulator.adyen.currencies import CURRENCIES
from gateways.simulator.adyen.scenarios import (
    APPROVED,
    BY_NUMBER,
    CARDS,
    RESULTS,
    TEST_ERRORS,
    TOKENS,
    Scenario,
)
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.psp import Refusal, Response

GATEWAY: Final = "adyen"
_REFERENCE_MAX: Final = 80
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TIME_LETTERS: Final = 9
_CARD_NUMBER: Final = re.compile(r"\d{12,19}", re.ASCII)
_REASONS: Final = frozenset({"FRAUD", "CUSTOMER REQUEST", "RETURN", "DUPLICATE", "OTHER"})


@dataclass(frozen=True, slots=True)
class Pay:
    """A `POST /payments` that was checked. `mills`: the amount. `token`: empty for a card. `by_merchant`: the
    customer is not there, so nobody can be challenged."""

    mills: int
    currency: str
    reference: str
    return_url: str
    scenario: Scenario
    token: str
    manual: bool
    by_merchant: bool
    three_ds: bool

    @property
    def payment(self) -> str:
        """The part of the reference that all attempts at one payment share."""
        return self.reference.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Modification:
    """A capture, cancel, refund or reversal that was checked. `mills`: None where the whole is meant."""

    reference: str | None
    mills: int | None = None
    currency: str | None = None


def psp_reference(now: float) -> str:
    """A pspReference: 16 letters that grow with time. Adyen's length, and never like a card number."""
    left, moment = int(now * 1000), ""
    for _ in range(_TIME_LETTERS):
        left, digit = divmod(left, len(_LETTERS))
        moment = _LETTERS[digit] + moment
    return moment + "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(16 - _TIME_LETTERS))


def error(status: int, code: str, message: str, kind: str = "validation", **headers: str) -> Response:
    """Adyen's error object: `code` is its errorCode, `kind` its errorType."""
    body = {"status": status, "errorCode": code, "message": message, "errorType": kind}
    return Response.json(status, body, None, **headers)


def refused(status: int, code: str, message: str, kind: str = "validation") -> Refusal:
    """The same as a `Refusal`: nothing is done, and nothing stored under the key."""
    return Refusal(error(status, code, message, kind))


def pay(raw: bytes, account: Account) -> Pay:
    """Reads a `POST /payments`. Raises `Refusal` (403, 422) with Adyen's errorCode."""
    sent = _sent(raw)
    _of_merchant(sent, account)
    mills, currency = _money(sent)
    reference = _text(sent, "reference")
    if not reference or len(reference) > _REFERENCE_MAX:
        raise refused(422, "130", "Reference Missing")
    return_url = _text(sent, "returnUrl")
    if not return_url:
        raise refused(422, "14_030", "Return URL is missing.")
    scenario, token = _scenario(sent)
    more, params = _object(sent, "additionalData"), _object(sent, "authenticationData")
    by_merchant = sent.get("shopperInteraction") == "ContAuth" and sent.get("recurringProcessingModel") in {
        "UnscheduledCardOnFile",
        "Subscription",
    }
    return Pay(
        mills=mills,
        currency=currency,
        reference=reference,
        return_url=return_url,
        scenario=scenario,
        token=token,
        manual=more.get("manualCapture") == "true",
        by_merchant=by_merchant,
        three_ds=params.get("attemptAuthentication") == "always",
    )


def redirect_result(raw: bytes) -> str:
    """Reads the `redirectResult` of `POST /payments/details`. Raises `Refusal` (422) without one."""
    result = _object(_sent(raw), "details").get("redirectResult")
    if not isinstance(result, str) or not result:
        raise refused(422, "14_003", "Invalid details")
    return result


def with_amount(raw: bytes, account: Account) -> Modification:
    """Reads a capture or a refund. Raises `Refusal`."""
    sent = _sent(raw)
    _of_merchant(sent, account)
    if sent.get("merchantRefundReason", "OTHER") not in _REASONS:
        raise refused(422, "702", "Invalid merchantRefundReason")
    return Modification(_reference(sent), *_money(sent))


def without_amount(raw: bytes, account: Account) -> Modification:
    """Reads a cancel or a reversal. Raises `Refusal`."""
    sent = _sent(raw)
    _of_merchant(sent, account)
    return Modification(_reference(sent))


def technical_cancel(raw: bytes, account: Account) -> tuple[str, Modification]:
    """Reads a `POST /cancels`: the payment's reference, and the cancel. Raises `Refusal` (422) without a
    reference."""
    params = without_amount(raw, account)
    paid = _text(_sent(raw), "paymentReference")
    if not paid:
        raise refused(422, "130", "Reference Missing")
    return paid, params


def _sent(raw: bytes) -> dict[str, Any]:
    try:
        sent = orjson.loads(raw)
    except orjson.JSONDecodeError:
        sent = None
    if not isinstance(sent, dict):
        raise refused(400, "702", "Unexpected input")
    return sent


def _of_merchant(sent: Mapping[str, Any], account: Account) -> None:
    known = account.options.get("merchant_account")
    found = sent.get("merchantAccount")
    if not isinstance(found, str) or not found or (known is not None and found != known):
        raise refused(403, "901", "Invalid Merchant Account", "security")


def _money(sent: Mapping[str, Any]) -> tuple[int, str]:
    """Returns the amount in mills, and the currency."""
    amount = sent.get("amount")
    if not isinstance(amount, dict):
        raise refused(422, "100", "No amount specified")
    value, currency = amount.get("value"), amount.get("currency")
    if not isinstance(currency, str) or currency not in CURRENCIES:
        raise refused(422, "138", "Unsupported currency specified")
    if type(value) is not int or not 0 < value < 2**50:
        raise refused(422, "137", "Invalid amount specified")
    return CURRENCIES.mills(value, currency), currency


def _scenario(sent: Mapping[str, Any]) -> tuple[Scenario, str]:
    """The scenario, and the token (empty for a card). Adyen's own test instructions go before the payment
    method."""
    method, more = sent.get("paymentMethod"), _object(sent, "additionalData")
    if not isinstance(method, dict) or method.get("type") not in {"scheme", "card"}:
        raise refused(422, "14_004", "Missing payment method details")
    token, card = method.get("storedPaymentMethodId"), _card(method)
    if token is None and card is None:
        raise refused(422, "14_004", "Missing payment method details")
    of_method = card or (TOKENS.get(token) if isinstance(token, str) else None)
    if of_method is None:
        raise refused(422, "800", "Contract not found")
    named = (
        TEST_ERRORS.get(str(more.get("RequestedTestErrorResponseCode"))),
        BY_NUMBER.get(str(more.get("RequestedTestAcquirerResponseCode"))),
        RESULTS.get(str(method.get("holderName"))),
    )
    return next((one for one in named if one is not None), of_method), token or ""


def _card(method: Mapping[str, Any]) -> Scenario | None:
    number = method.get("number", method.get("encryptedCardNumber"))
    if number is None:
        return None
    digits = str(number).removeprefix("test_")
    if not _CARD_NUMBER.fullmatch(digits):
        raise refused(422, "101", "Invalid card number")
    cvc = str(method.get("cvc", method.get("encryptedSecurityCode", "737"))).removeprefix("test_")
    if not re.fullmatch(r"\d{3,4}", cvc, re.ASCII):
        raise refused(422, "103", "CVC is not the right length")
    return CARDS.get(digits, APPROVED)


def _reference(sent: Mapping[str, Any]) -> str | None:
    reference = sent.get("reference")
    if reference is not None and (not isinstance(reference, str) or len(reference) > _REFERENCE_MAX):
        raise refused(422, "702", "Invalid reference")
    return reference


def _text(sent: Mapping[str, Any], name: str) -> str:
    found = sent.get(name)
    return found if isinstance(found, str) else ""


def _object(sent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = sent.get(name)
    return found if isinstance(found, dict) else {}
