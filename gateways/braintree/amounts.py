"""Braintree's decimal amounts. Invariant: nothing is rounded; what cannot be written is refused.

Source: the scalar `Amount` of the GraphQL schema ("up to 3 decimal places"), "must match the currency
format of the merchant account". Braintree names no list of decimals: it is ISO 4217's. IDR, whose format
it does not say, is not taken.
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Final

from gateways.wire.money import NotExpressible, decimal_text, from_decimal_text

CURRENCIES: Final = frozenset(
    """AED AUD BGN BHD BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF ILS INR ISK JOD JPY KES KRW KWD
    MAD MXN MYR NGN NOK NZD OMR PEN PHP PLN PYG QAR RON SAR SEK SGD THB TND TRY TWD UAH UGX USD VND XAF
    XOF XPF ZAR""".split()
)
_DIGITS_MAX: Final = 12  # before the decimal point


def to_wire(amount_minor: int, currency: str) -> str:
    """An amount of ours with the currency's decimals. Raises `NotExpressible`."""
    if currency not in CURRENCIES:
        raise NotExpressible("currency_not_supported", f"how Braintree writes {currency} is not known")
    wire = decimal_text(amount_minor, currency)
    if amount_minor <= 0 or len(wire.partition(".")[0]) > _DIGITS_MAX:
        raise NotExpressible(
            "amount_not_expressible", "Braintree takes amounts above 0, of 12 digits at most"
        )
    return wire


def from_wire(wire: object, currency: str) -> int | None:
    """Our minor units for a text of Braintree's. None: it is no whole number of them."""
    return from_decimal_text(wire, currency, decimals_max=3) if currency in CURRENCIES else None
