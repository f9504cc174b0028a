"""Razorpay's integers, in the currency's subunits. Source: its pages on international payments (supported
currencies) and on its checkout's parameters: "in the case of three decimal currencies, such as KWD, BHD and
OMR, to accept a payment of 295.991, pass the value as 295990. And in the case of zero decimal currencies such
as JPY, to accept a payment of 295, pass the value as 295". How it writes IDR could not be confirmed, so that
it is not taken here.
"""

from typing import Final

from gateways.simulator.core.money import Currencies

CURRENCIES: Final = Currencies.table(
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD OMR TND"),
    (
        2,
        """AED ALL AMD ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BZD CAD CHF CNY COP CRC CUP CVE CZK
        DKK DOP DZD EGP ETB EUR FJD GBP GHS GIP GMD GTQ GYD HKD HNL HTG HUF ILS INR JMD KES KGS KHR KYD KZT LAK LKR LRD
        LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PEN PGK PHP PKR PLN QAR RON RSD
        RUB SAR SCR SEK SGD SLL SOS SSP SVC SZL THB TRY TTD TWD TZS UAH USD UYU UZS YER ZAR ZMW""",
    ),
    steps=[(10, "BHD IQD JOD KWD OMR TND")],
)
INTEGER_MAX: Final = 2**53
