"""The processor's declines that are final. Source: Braintree's page on authorization responses, whose table
has a decline type beside each code; a code that it does not list is soft.
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Final, Literal

_HARD: Final = frozenset(
    """2004 2005 2006 2007 2008 2009 2010 2011 2012 2013 2014 2015 2017 2018 2019 2020 2022 2023 2024 2027 2028 2029 2032
    2033 2036 2037 2039 2041 2043 2044 2045 2047 2049 2051 2053 2054 2055 2056 2058 2059 2060 2061""".split()
)


def decline_type(code: str) -> Literal["SOFT", "HARD"]:
    """Returns HARD or SOFT for a code of the processor: whether a later attempt makes sense."""
    return "HARD" if code in _HARD else "SOFT"


_NETWORK: Final = {
    "2000": "05",
    "2001": "51",
    "2003": "65",
    "2004": "54",
    "2005": "14",
    "2010": "N7",
    "2012": "41",
    "2013": "43",
    "2014": "59",
    "2015": "57",
}


def network_code(code: str) -> str | None:
    """The card network's code behind a code of the processor. None: it is not the network's decline."""
    return _NETWORK.get(code)
