"""Reads forms, checked as Stripe checks them: the first thing wrong is named, and nothing is guessed."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from gateways.simulator.core.psp import payment_of
from gateways.simulator.stripe.currencies import CURRENCIES, largest
from gateways.simulator.stripe.dialect import invalid
from gateways.simulator.stripe.scenarios import Scenario, chosen

Pairs = list[tuple[str, str]]
Metadata = dict[str, str]

_CARD: Final = "payment_method_options[card]"
# Shown again in the intent, and nothing else: the name in the form, and in the object.
_EXTRAS: Final = {
    "customer": "customer",
    "setup_future_usage": "setup_future_usage",
    "statement_descriptor_suffix": "statement_descriptor_suffix",
    f"{_CARD}[request_three_d_secure]": "request_three_d_secure",
}
_CREATE: Final = frozenset(
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
        f"{_CARD}[request_multicapture]",
        f"{_CARD}[request_overcapture]",
        "payment_method_types[]",
        "return_url",
        *_EXTRAS,
    }
)
_CAPTURE: Final = frozenset({"amount_to_capture", "expand[]", "final_capture", "statement_descriptor_suffix"})
_CANCEL: Final = frozenset({"cancellation_reason", "expand[]"})
_REFUND: Final = frozenset({"amount", "charge", "expand[]", "payment_intent", "reason"})
_METADATA: Final = re.compile(r"metadata\[([^\[\]]{1,40})\]")
_INDEX: Final = re.compile(r"\[\d+\]$")  # payment_method_types[0] is payment_method_types[]
_SEARCH: Final = re.compile(r"metadata\[(['\"])order_ref\1\]\s*:\s*(['\"])((?:[^'\"\\]|\\.)*)\2")


@dataclass(frozen=True, slots=True)
class Create:
    """A new intent that was checked. `amount`: Stripe's integer, as in all forms. `extras`: what the object
    shows and the simulator ignores."""

    amount: int
    currency: str
    payment_method: str
    scenario: Scenario
    description: str | None
    return_url: str | None
    metadata: Metadata
    manual: bool
    off_session: bool
    multicapture: bool
    overcapture: bool
    extras: dict[str, str]

    @property
    def payment(self) -> str | None:
        """The part of AegisPay's reference that all attempts at one payment share."""
        return payment_of(self.metadata.get("order_ref"))


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture that was checked. `amount`: None: all that is capturable. `final`: the rest is released."""

    amount: int | None
    final: bool
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class RefundParams:
    """A refund that was checked. `amount`: None: all that is left."""

    intent_id: str
    amount: int | None
    reason: str | None
    metadata: Metadata


def pairs(raw: bytes) -> Pairs:
    """The names and values of a form, blank ones too, in order. `urllib.parse.parse_qsl` gives the same; it
    decodes also what needs no decoding, which costs more than all the rest of a form."""
    split = (part.partition("=") for part in raw.decode("utf-8", errors="replace").split("&") if part)
    return [(_INDEX.sub("[]", _decoded(name)), _decoded(value)) for name, _, value in split]


def _decoded(part: str) -> str:
    return unquote_plus(part) if "%" in part or "+" in part else part


def fingerprint(method: str, path: str, sent: Pairs) -> str:
    """A hash of the request: two requests under one key have to agree in it."""
    return hashlib.sha256(repr((method, path, sorted(sent))).encode()).hexdigest()


def create(sent: Pairs) -> Create:
    """Reads a new intent. Raises `Refusal` (400), as all functions here do."""
    fields, metadata = _sorted_out(sent, _CREATE)
    for name in ("amount", "currency", "payment_method"):
        if not fields.get(name):
            raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")
    _only(fields, "confirm", "true")
    _only(fields, "capture_method", "automatic", "automatic_async", "manual", None)
    _only(fields, "payment_method_types[]", "card", None)
    _only(fields, "setup_future_usage", "on_session", "off_session", None)
    _only(fields, f"{_CARD}[request_three_d_secure]", "automatic", "any", "challenge", None)
    for feature in ("request_multicapture", "request_overcapture"):
        _only(fields, f"{_CARD}[{feature}]", "if_available", "never", None)
    _suffix(fields)
    currency = fields["currency"].lower()
    amount = _amount(fields["amount"], currency)
    scenario = chosen(fields["payment_method"], amount)
    if scenario is None:
        text = f"No such PaymentMethod: '{fields['payment_method']}'"
        raise invalid(text, param="payment_method", code="resource_missing")
    return Create(
        amount,
        currency,
        fields["payment_method"],
        scenario,
        fields.get("description"),
        fields.get("return_url"),
        metadata,
        manual=fields.get("capture_method") == "manual",
        off_session=_flag(fields, "off_session", default=False),
        multicapture=fields.get(f"{_CARD}[request_multicapture]") == "if_available",
        overcapture=fields.get(f"{_CARD}[request_overcapture]") == "if_available",
        extras={shown: fields[name] for name, shown in _EXTRAS.items() if name in fields},
    )


def capture(sent: Pairs) -> Capture:
    """Reads a capture. An amount of 0 is allowed: it releases what is left of an intent that was captured in
    part."""
    fields, metadata = _sorted_out(sent, _CAPTURE)
    _suffix(fields)
    name = "amount_to_capture"
    amount = _integer(fields[name], name) if name in fields else None
    return Capture(amount, _flag(fields, "final_capture", default=True), metadata)


def cancel(sent: Pairs) -> str | None:
    """Reads a cancel: its reason, else None."""
    fields, _ = _sorted_out(sent, _CANCEL, metadata_too=False)
    return _one_of(
        fields, "cancellation_reason", "duplicate", "fraudulent", "requested_by_customer", "abandoned"
    )


def refund(sent: Pairs) -> RefundParams:
    """Reads a refund."""
    fields, metadata = _sorted_out(sent, _REFUND)
    intent_id, charge_id = fields.get("payment_intent"), fields.get("charge")
    if (intent_id is None) == (charge_id is None):
        text = "One of the following params should be provided for this request: payment_intent or charge."
        raise invalid(text, param="payment_intent", code="parameter_missing")
    amount = _positive(fields["amount"], "amount") if "amount" in fields else None
    reason = _one_of(fields, "reason", "duplicate", "fraudulent", "requested_by_customer")
    if intent_id is None:
        # The two ids of a payment differ in their beginning only.
        intent_id = f"pi_{(charge_id or '').removeprefix('ch_')}"
    return RefundParams(intent_id, amount, reason, metadata)


def evidence(sent: Pairs) -> str | None:
    """Reads a dispute's evidence: its text, else None."""
    name = "evidence[uncategorized_text]"
    fields, _ = _sorted_out(sent, frozenset({name, "submit", "expand[]"}))
    return fields.get(name)


def _sorted_out(
    sent: Pairs, taken: frozenset[str], *, metadata_too: bool = True
) -> tuple[dict[str, str], Metadata]:
    fields: dict[str, str] = {}
    metadata: Metadata = {}
    for name, value in sent:
        if name in taken:
            fields[name] = value
        elif metadata_too and (entry := _METADATA.fullmatch(name)) is not None:
            if len(value) > 500:
                raise invalid("Metadata values can have up to 500 characters.", param=name)
            metadata[entry[1]] = value
        else:
            raise invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
    return fields, metadata


def _only(fields: dict[str, str], name: str, *values: str | None) -> None:
    """Refuses other values of a field. Stripe takes more than these; the simulator refuses them instead of
    doing another thing."""
    if fields.get(name) not in values:
        taken = " or ".join(value for value in values if value)
        raise invalid(f"This simulator only takes {name}={taken}.", param=name, code="parameter_invalid")


def _one_of(fields: dict[str, str], name: str, *values: str) -> str | None:
    value = fields.get(name)
    if value is not None and value not in values:
        raise invalid(f"Invalid {name}: must be one of {', '.join(values)}.", param=name)
    return value


def _flag(fields: dict[str, str], name: str, *, default: bool) -> bool:
    value = fields.get(name)
    if value not in {None, "true", "false"}:
        raise invalid(f"Invalid boolean: {value}", param=name)
    return default if value is None else value == "true"


def _suffix(fields: dict[str, str]) -> None:
    suffix = fields.get("statement_descriptor_suffix")
    if suffix is not None and not re.fullmatch(r"(?=.*[A-Za-z])[^<>\\'\"*]{1,22}", suffix):
        text = "The statement descriptor suffix has at most 22 characters, a letter among them, and none of <>\\'\"*."
        raise invalid(text, param="statement_descriptor_suffix")


def _integer(text: str, param: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise invalid(f"Invalid integer: {text}", param=param, code="parameter_invalid_integer")
    return int(text)


def _positive(text: str, param: str) -> int:
    number = _integer(text, param)
    if number < 1:
        text = "This value must be greater than or equal to 1."
        raise invalid(text, param=param, code="parameter_invalid_integer")
    return number


def _amount(text: str, currency: str) -> int:
    code = currency.upper()
    if code not in CURRENCIES:
        raise invalid(f"Invalid currency: {currency}.", param="currency")
    amount = _positive(text, "amount")
    if amount > largest(code):
        text = f"Amount must be no more than {largest(code)} in {currency}."
        raise invalid(text, param="amount", code="amount_too_large")
    if amount % (step := CURRENCIES.step(code)):
        text = f"Amounts in {currency} must be divisible by {step}."
        raise invalid(text, param="amount", code="parameter_invalid_integer")
    return amount


def searched_reference(query: str) -> str:
    """Reads a search: the reference. Any other search is refused."""
    matched = _SEARCH.fullmatch(query.strip())
    if matched is None:
        raise invalid("This simulator only searches by metadata['order_ref']:'…'.", param="query")
    return re.sub(r"\\(.)", r"\1", matched[3])
