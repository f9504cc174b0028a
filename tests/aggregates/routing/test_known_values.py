"""The lint warns of schemes, methods and countries that nobody has, and of nothing else."""

from datetime import date

import pytest
from babel import Locale

from aggregates.routing.known_values import COUNTRIES, unknown_values
from aggregates.routing.lint import lint
from aggregates.routing.policy import Policy

_NOT_OF_ISO = frozenset("AC CP CQ DG EA EU EZ IC QO TA UN XA XB XK ZZ".split())  # noqa: SIM905
"""Codes of CLDR that ISO 3166 only reserves, or leaves to its users."""


def test_the_countries_are_those_of_iso_3166():
    listed = {code for code in Locale("en").territories if len(code) == 2 and code.isalpha()}

    assert listed - _NOT_OF_ISO == COUNTRIES


@pytest.mark.parametrize(
    ("document", "where", "what", "remedy"),
    [
        ({"residency": {"UK": ["a"]}}, "residency.UK", "no country", "did you mean GB?"),
        (
            {"strategy": {"kind": "geographic", "places": {"DE": ["a"], "QQ": ["a"], "eea": ["a"]}}},
            "strategy.places.QQ",
            "no country that AegisPay knows is called QQ",
            "ISO 3166-1",
        ),
        ({"when": {"scheme": ["visa", "vsia"]}}, "rules.0.when.scheme.1", "vsia", "did you mean visa?"),
        ({"when": {"scheme": ["american_express"]}}, "rules.0.when.scheme.0", "no card scheme", "amex?"),
        ({"when": {"method": ["crad"]}}, "rules.0.when.method.0", "no method", "did you mean card?"),
        ({"when": {"method": ["barter"]}}, "rules.0.when.method.0", "no method", "the usual ones are"),
        ({"when": {"country": ["DE", "XX"]}}, "rules.0.when.country.1", "no country", "ISO 3166-1"),
        ({"when": {"card_country": ["EU"]}}, "rules.0.when.card_country.0", "no country", "ISO 3166-1"),
    ],
)
def test_a_value_that_nobody_has_is_a_warning_with_what_to_write(document, where, what, remedy):
    if "when" in document:
        document = {"rules": [{"id": "x", "when": document["when"], "then": {"prefer": ["a"]}}]}

    (finding,) = unknown_values(Policy.model_validate(document))

    assert (finding.severity, finding.code, finding.where) == ("warning", "unknown_value", where)
    assert what in finding.what
    assert remedy in finding.remedy


def test_the_lint_warns_of_a_country_that_nobody_has():
    policy = Policy.model_validate({"residency": {"UK": ["a"]}})

    assert [one.code for one in lint(policy, None, date(2026, 11, 30))] == ["unknown_value"]


def test_what_is_known_is_not_reported():
    when = {"scheme": ["amex"], "method": ["wallet", "bank_transfer"], "country": ["GB", "XK"]}
    rule = {"id": "x", "when": when, "then": {"prefer": ["a"]}}

    assert list(unknown_values(Policy.model_validate({"rules": [rule], "residency": {"IN": ["a"]}}))) == []
