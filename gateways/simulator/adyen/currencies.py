"""Adyen's integers. Source: docs.adyen.com/development-resources/currency-codes, its table of codes and
decimals, which is "leading"; where it differs from the standard it notes that (CLP, CVE, IDR, ISK). Examples
there: GBP 10 is 1000, JPY 10 is 10, BHD 10 is 10000.
"""

from typing import Final

from gateways.simulator.core.money import Currencies

CURRENCIES: Final = Currencies.table(
    (0, "CVE DJF GNF IDR JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (
        2,
        """AED ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CHF CLP CNH CNY COP CRC
        CUP CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF ILS INR ISK JMD KES KGS KHR
        KYD KZT LAK LBP LKR MAD MDL MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP
        PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STN SVC SZL THB TOP TRY TTD TWD TZS UAH USD UYU UZS
        WST XCD YER ZAR ZMW""",
    ),
)
