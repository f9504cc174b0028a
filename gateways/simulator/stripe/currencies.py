"""Stripe's integers. Source: docs.stripe.com/currencies: the presentment currencies; zero-decimal currencies
("to charge 500 JPY, provide an amount value of 500"); three-decimal currencies, whose last digit has to be 0
("5.124 KWD must be rounded to 5120 or 5130"); special cases ("to charge 5 ISK, provide an amount value of
500", and the same of UGX). The largest amount has eight digits, of IDR twelve.
"""

from typing import Final

from gateways.simulator.core.money import Currencies

CURRENCIES: Final = Currencies.table(
    (0, "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"),
    (3, "BHD JOD KWD OMR TND"),
    (
        2,
        """AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP
        CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD KES KGS
        KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN
        PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TWD TZS UAH UGX
        USD UYU UZS WST XCD YER ZAR ZMW""",
    ),
    steps=[(10, "BHD JOD KWD OMR TND"), (100, "ISK UGX")],
)
_EIGHT_DIGITS: Final = 10**8 - 1
_TWELVE_DIGITS: Final = 10**12 - 1


def largest(currency: str) -> int:
    """The largest integer that Stripe takes in this currency."""
    return _TWELVE_DIGITS if currency == "IDR" else _EIGHT_DIGITS
