"""Adyen's JSON at the simulator: what was sent, checked as far as the adapter uses it, and errors in its words."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.adyen import amounts
from gateways.simulator.accounts import Account
from gateways.simulator.adyen.scenarios import (
    APPROVED,
    BY_NUMBER,
    CARDS,
    RESULTS,
    TOKENS,
    TROUBLES,
    Scenario,
)
from gateways.simulator.psp import Answer, Refusal

GATEWAY: Final = "adyen"
_REFERENCE_MAX: Final = 80
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TIME_LETTERS: Final = 9
_CARD_NUMBER: Final = re.compile(r"\d{12,19}", re.ASCII)
_REASONS: Final = frozenset({"FRAUD", "CUSTOMER REQUEST", "RETURN", "DUPLICATE", "OTHER"})


@dataclass(frozen=True, slots=True)
class Pay:
    minor: int
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
        """What all attempts at one payment have in common."""
        return self.reference.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Modification:
    """`minor`: None where the whole is meant."""

    reference: str | None
    minor: int | None = None
    currency: str | None = None


def psp_reference(now: float) -> str:
    """16 letters, in the order of time: Adyen's length, and never like a card number."""
    left, moment = int(now * 1000), ""
    for _ in range(_TIME_LETTERS):
        left, digit = divmod(left, len(_LETTERS))
        moment = _LETTERS[digit] + moment
    return moment + "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(16 - _TIME_LETTERS))


def error(status: int, code: str, message: str, kind: str = "validation", **headers: str) -> Answer:
    body = {"status": status, "errorCode": code, "message": message, "errorType": kind}
    return Answer.json(status, body, None, **headers)


def refused(status: int, code: str, message: str, kind: str = "validation") -> Refusal:
    return Refusal(error(status, code, message, kind))


def pay(raw: bytes, account: Account) -> Pay:
    sent = _sent(raw)
    _of_merchant(sent, account)
    minor, currency = _money(sent)
    reference = _text(sent, "reference")
    if not reference or len(reference) > _REFERENCE_MAX:
        raise refused(422, "130", "Reference Missing")
    return_url = _text(sent, "returnUrl")
    if not return_url:
        raise refused(422, "14_030", "Return URL is missing.")
    scenario, token = _scenario(sent)
    more, asked = _object(sent, "additionalData"), _object(sent, "authenticationData")
    by_merchant = sent.get("shopperInteraction") == "ContAuth" and sent.get("recurringProcessingModel") in {
        "UnscheduledCardOnFile",
        "Subscription",
    }
    return Pay(
        minor=minor,
        currency=currency,
        reference=reference,
        return_url=return_url,
        scenario=scenario,
        token=token,
        manual=more.get("manualCapture") == "true",
        by_merchant=by_merchant,
        three_ds=asked.get("attemptAuthentication") == "always",
    )


def redirect_result(raw: bytes) -> str:
    result = _object(_sent(raw), "details").get("redirectResult")
    if not isinstance(result, str) or not result:
        raise refused(422, "14_003", "Invalid details")
    return result


def with_amount(raw: bytes, account: Account) -> Modification:
    """Of a capture or a refund."""
    sent = _sent(raw)
    _of_merchant(sent, account)
    if sent.get("merchantRefundReason", "OTHER") not in _REASONS:
        raise refused(422, "702", "Invalid merchantRefundReason")
    return Modification(_reference(sent), *_money(sent))


def without_amount(raw: bytes, account: Account) -> Modification:
    """Of a cancel or a reversal."""
    sent = _sent(raw)
    _of_merchant(sent, account)
    return Modification(_reference(sent))


def technical_cancel(raw: bytes, account: Account) -> tuple[str, Modification]:
    """The payment's reference, and the cancel."""
    asked = without_amount(raw, account)
    paid = _text(_sent(raw), "paymentReference")
    if not paid:
        raise refused(422, "130", "Reference Missing")
    return paid, asked


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
    said = sent.get("merchantAccount")
    if not isinstance(said, str) or not said or (known is not None and said != known):
        raise refused(403, "901", "Invalid Merchant Account", "security")


def _money(sent: Mapping[str, Any]) -> tuple[int, str]:
    """In our minor units."""
    amount = sent.get("amount")
    if not isinstance(amount, dict):
        raise refused(422, "100", "No amount specified")
    value, currency = amount.get("value"), amount.get("currency")
    if not isinstance(currency, str) or not amounts.supported(currency):
        raise refused(422, "138", "Unsupported currency specified")
    minor = amounts.from_wire(value, currency) if type(value) is int and 0 < value < 2**50 else None
    if minor is None:
        raise refused(422, "137", "Invalid amount specified")
    return minor, currency


def _scenario(sent: Mapping[str, Any]) -> tuple[Scenario, str]:
    """Adyen's own test instructions go before the payment method. With it the token, empty for a card."""
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
        TROUBLES.get(str(more.get("RequestedTestErrorResponseCode"))),
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
    said = sent.get(name)
    return said if isinstance(said, str) else ""


def _object(sent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    said = sent.get(name)
    return said if isinstance(said, dict) else {}
