"""Warns of card schemes, methods and countries in a policy that nobody has. Pure.

Invariant: only a warning: a merchant names the scheme and the method of a payment freely, and may well use a
name that is not listed here.
"""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Final

from aggregates.routing.findings import Finding, listed, warning
from aggregates.routing.policy import Conditions, Policy
from aggregates.routing.targets import strategies_of

COUNTRIES: Final = frozenset(
    """AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE
    EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC
    LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW""".split()  # noqa: SIM905  # a line for each would be 249
)
"""ISO 3166-1 alpha-2."""
# Kosovo's code is one that ISO leaves to its users; the European Commission and PSPs use it.
_COUNTRIES: Final = COUNTRIES | {"XK"}
SCHEMES: Final = frozenset(
    {
        *("amex", "cartes_bancaires", "dankort", "diners", "discover", "eftpos", "elo", "girocard"),
        *("hipercard", "interac", "jcb", "mada", "maestro", "mastercard", "mir", "rupay", "troy"),
        *("unionpay", "verve", "visa"),
    }
)
METHODS: Final = frozenset(
    {
        *("bank", "bank_debit", "bank_redirect", "bank_transfer", "card", "cash", "crypto", "direct_debit"),
        *("apple_pay", "bancontact", "blik", "eps", "google_pay", "ideal", "klarna", "netbanking"),
        *("pay_later", "paypal", "pix", "sepa_debit", "sofort", "twint", "upi", "venmo", "voucher", "wallet"),
    }
)


def unknown_values(policy: Policy) -> Iterator[Finding]:
    """Yields a warning for each value that is none of the known ones."""
    for place, rule in enumerate(policy.rules):
        yield from _of_conditions(f"rules.{place}.when", rule.when)
    for country in policy.residency:
        yield from _about("country", f"residency.{country}", country, _COUNTRIES)
    for where, strategy in strategies_of(policy):
        if strategy.kind == "geographic":
            for name in strategy.places:
                if name.isupper():
                    yield from _about("country", f"{where}.places.{name}", name, _COUNTRIES)


def _of_conditions(where: str, when: Conditions) -> Iterator[Finding]:
    of_each: tuple[tuple[str, str, list[str] | None, frozenset[str]], ...] = (
        ("scheme", "card scheme", when.scheme, SCHEMES),
        ("method", "method", when.method, METHODS),
        ("country", "country", when.country, _COUNTRIES),
        ("card_country", "country", when.card_country, _COUNTRIES),
    )
    for field, what, values, known in of_each:
        for place, value in enumerate(values or ()):
            yield from _about(what, f"{where}.{field}.{place}", value, known)


def _about(what: str, where: str, value: str, known: Collection[str]) -> Iterator[Finding]:
    if value in known:
        return
    if what == "country":
        advice = "write its code of ISO 3166-1, such as DE or GB"
    else:
        advice = f"the usual ones are {listed(known)}; another works if your payments name it so"
    near = get_close_matches(value, known, 1) if what != "country" else []
    if (other := _ALSO.get(value)) is not None and other in known:
        near = [other]
    remedy = f"did you mean {near[0]}? {advice}" if near else advice
    yield warning("unknown_value", where, f"no {what} that AegisPay knows is called {value}", remedy)


_ALSO: Final = {
    "UK": "GB",
    "EL": "GR",
    "mc": "mastercard",
    "american_express": "amex",
    "cb": "cartes_bancaires",
    "cup": "unionpay",
    "credit_card": "card",
    "debit_card": "card",
}
"""What others call them."""
