"""Braintree's decimals. Sources: the schema's scalar `Amount`, "either a whole number or a number with
exactly two or three decimal places", and its page on currencies; an amount has the format of the merchant
account's currency, which is ISO 4217's. Braintree does not document how it writes IDR, so that it is not
taken here.
"""

import re
from typing import Final

from gateways.simulator.core.money import Currencies

CURRENCIES: Final = Currencies.table(
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (
        2,
        """AED ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CHF CNY COP CRC CVE CZK
        DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF ILS INR JMD KES KGS KHR KYD KZT LAK
        LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP
        PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STN SVC SZL THB TOP TRY TTD TWD TZS UAH USD UYU UZS
        WST XCD YER ZAR ZMW""",
    ),
)
LARGEST: Final = 10**15 - 1  # in mills; Braintree does not publish its limit
_WRITTEN: Final = re.compile(r"([0-9]{1,40})(?:\.([0-9]{2,3}))?")


def read(written: str, currency: str) -> int | None:
    """Reads an amount, in mills. None: it is not written in the currency's format, with no decimals or all of
    its own."""
    matched = _WRITTEN.fullmatch(written)
    if matched is None or (matched[2] is not None and len(matched[2]) != CURRENCIES.decimals[currency]):
        return None
    return int(matched[1] + (matched[2] or "").ljust(3, "0"))


def half(mills: int, currency: str) -> int:
    """Returns half of the amount, in mills, rounded down to what Braintree can write, and never 0."""
    unit = CURRENCIES.unit(currency)
    return max(mills // 2 // unit * unit, unit)
