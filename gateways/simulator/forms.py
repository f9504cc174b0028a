"""What a client sends, checked as Stripe checks it: the first thing wrong is named, and nothing is guessed."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from gateways import stripe_amounts
from gateways.simulator.dialect import invalid
from gateways.simulator.scenarios import Scenario, chosen

Pairs = list[tuple[str, str]]

_TAKEN: Final = frozenset(
    {
        "amount",
        "automatic_payment_methods[allow_redirects]",
        "automatic_payment_methods[enabled]",
        "capture_method",
        "confirm",
        "currency",
        "description",
        "expand[]",
        "off_session",
        "payment_method",
        "payment_method_types[]",
        "return_url",
    }
)
_METADATA: Final = re.compile(r"metadata\[([^\[\]]{1,40})\]")
_INDEX: Final = re.compile(r"\[\d+\]$")  # payment_method_types[0] is payment_method_types[]
_SEARCH: Final = re.compile(r"metadata\[(['\"])order_ref\1\]\s*:\s*(['\"])((?:[^'\"\\]|\\.)*)\2")


@dataclass(frozen=True, slots=True)
class Create:
    amount: int
    currency: str
    payment_method: str
    scenario: Scenario
    description: str | None
    return_url: str | None
    metadata: dict[str, str]


def pairs(raw: bytes) -> Pairs:
    """As `urllib.parse.parse_qsl` with blank values; that one decodes what has nothing to decode, which costs more
    than all the rest of a form."""
    split = (part.partition("=") for part in raw.decode("utf-8", errors="replace").split("&") if part)
    return [(_INDEX.sub("[]", _decoded(name)), _decoded(value)) for name, _, value in split]


def _decoded(part: str) -> str:
    return unquote_plus(part) if "%" in part or "+" in part else part


def fingerprint(method: str, path: str, sent: Pairs) -> str:
    """Two requests under one key must agree in this."""
    return hashlib.sha256(repr((method, path, sorted(sent))).encode()).hexdigest()


def create(sent: Pairs) -> Create:
    """Raises `StripeError`, 400."""
    fields: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for name, value in sent:
        if (entry := _METADATA.fullmatch(name)) is not None:
            if len(value) > 500:
                raise invalid("Metadata values can have up to 500 characters.", param=name)
            metadata[entry[1]] = value
        elif name in _TAKEN:
            fields[name] = value
        else:
            raise invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
    for name in ("amount", "currency", "payment_method"):
        if not fields.get(name):
            raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")
    _only(fields, "confirm", "true")
    _only(fields, "capture_method", "automatic", "automatic_async", None)
    _only(fields, "payment_method_types[]", "card", None)
    currency = fields["currency"].lower()
    amount = _amount(fields["amount"], currency)
    scenario = chosen(fields["payment_method"], amount)
    if scenario is None:
        text = f"No such PaymentMethod: '{fields['payment_method']}'"
        raise invalid(text, param="payment_method", code="resource_missing")
    description, return_url = fields.get("description"), fields.get("return_url")
    return Create(amount, currency, fields["payment_method"], scenario, description, return_url, metadata)


def _only(fields: dict[str, str], name: str, *values: str | None) -> None:
    """Stripe takes more than this; the simulator says so instead of doing another thing than was asked."""
    if fields.get(name) not in values:
        taken = " or ".join(value for value in values if value)
        raise invalid(f"This simulator only takes {name}={taken}.", param=name, code="parameter_invalid")


def _amount(text: str, currency: str) -> int:
    code = currency.upper()
    if not stripe_amounts.supported(code):
        raise invalid(f"Invalid currency: {currency}.", param="currency")
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise invalid(f"Invalid integer: {text}", param="amount", code="parameter_invalid_integer")
    amount = int(text)
    if amount < 1:
        text = "This value must be greater than or equal to 1."
        raise invalid(text, param="amount", code="parameter_invalid_integer")
    if amount > stripe_amounts.largest(code):
        text = f"Amount must be no more than {stripe_amounts.largest(code)} in {currency}."
        raise invalid(text, param="amount", code="amount_too_large")
    if amount % stripe_amounts.multiple(code):
        text = f"Amounts in {currency} must be divisible by {stripe_amounts.multiple(code)}."
        raise invalid(text, param="amount", code="parameter_invalid_integer")
    return amount


def searched_reference(query: str) -> str:
    """The only search that is answered. Raises `StripeError`, 400."""
    matched = _SEARCH.fullmatch(query.strip())
    if matched is None:
        raise invalid("This simulator only searches by metadata['order_ref']:'…'.", param="query")
    return re.sub(r"\\(.)", r"\1", matched[3])
