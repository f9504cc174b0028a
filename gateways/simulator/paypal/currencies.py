"""PayPal's decimals. Source: developer.paypal.com/api/rest/reference/currency-codes, whose note at HUF, JPY
and TWD is "This currency does not support decimals. If you pass a decimal amount, an error occurs"
(DECIMALS_NOT_SUPPORTED); all others have two, more are DECIMAL_PRECISION. BRL, CNY and MYR are for accounts
of those countries.
"""

import re
from typing import Any, Final

from gateways.simulator.core.money import Currencies
from gateways.simulator.paypal.errors import invalid, unfit

CURRENCIES: Final = Currencies.table(
    (0, "HUF JPY TWD"),
    (2, "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD ILS MXN MYR NOK NZD PHP PLN SEK SGD THB USD"),
)
_VALUE: Final = re.compile(r"([0-9]{1,20})(?:\.([0-9]+))?")
_DECIMALS: Final = 2


def read(sent: Any, field: str) -> tuple[int, str]:
    """Reads an amount: mills, and the currency. Raises the `Refusal` that PayPal responds with."""
    if not isinstance(sent, dict):
        raise invalid(field, "MISSING_REQUIRED_PARAMETER")
    currency, value = sent.get("currency_code"), sent.get("value")
    if not isinstance(currency, str) or not isinstance(value, str):
        raise invalid(field)
    if currency not in CURRENCIES:
        raise unfit("INVALID_CURRENCY_CODE")
    if value.startswith("-") or not value.strip("0."):
        raise unfit("CANNOT_BE_ZERO_OR_NEGATIVE")
    written = _VALUE.fullmatch(value)
    if written is None or len(written[2] or "") > _DECIMALS:
        raise unfit("DECIMAL_PRECISION")
    if written[2] is not None and not CURRENCIES.decimals[currency]:
        raise unfit("DECIMALS_NOT_SUPPORTED")
    return int(written[1] + (written[2] or "").ljust(3, "0")), currency


def money(mills: int, currency: str) -> dict[str, str]:
    """An amount as PayPal writes it."""
    return {"currency_code": currency, "value": CURRENCIES.written(mills, currency)}
