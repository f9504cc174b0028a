import json
from datetime import date, time
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from aggregates.routing.lint import lint
from aggregates.routing.policy import (
    Action,
    Adaptive,
    AmountRange,
    Arm,
    Commitment,
    Conditions,
    Experiment,
    Geographic,
    Metrics,
    Policy,
    TimeOfDay,
    Weighted,
)
from commands.card_data import sensitive_path
from commands.policy_document import DOCUMENT_BYTES_MAX, InvalidDocument, read, to_yaml
from tests.aggregates.routing.world_of_payments import policies


def _faults(raw: bytes | str, form: str = "yaml") -> list[tuple[str, str | None, int | None]]:
    with pytest.raises(InvalidDocument) as raised:
        read(raw.encode() if isinstance(raw, str) else raw, form)  # type: ignore[arg-type]
    assert all(fault.detail for fault in raised.value.faults)
    return [(fault.code, fault.path, fault.line) for fault in raised.value.faults]


_NORWAY = b"""\
# Comments are not kept.
accounts: [sim-eu, sim-us]
rules:
  - id: nordic-nights
    when:
      country: [NO, SE]
      time: {since: 22:00, until: 06:00, zone: Europe/Oslo}
      metadata: {tier: "1", on: yes}
    then: {only: [sim-eu]}
commitments:
  - {account: sim-eu, since: 2026-12-01, by: 2026-12-31, payments: 10000}
"""


def test_norway_is_a_country_and_ten_in_the_evening_is_a_time():
    document = read(_NORWAY, "yaml")

    rule = document.policy.rules[0]
    assert rule.when.country == ["NO", "SE"]
    assert rule.when.time is not None
    assert (rule.when.time.since, rule.when.time.until) == (time(22), time(6))
    assert rule.when.metadata == {"tier": "1", "on": "yes"}
    assert document.policy.commitments[0].by == date(2026, 12, 31)


def test_the_lines_lead_to_what_is_at_fault():
    document = read(_NORWAY, "yaml")

    assert document.line_of("rules.0.when.time") == 7
    assert document.line_of("rules.0.then.only.0") == 9
    assert document.line_of("rules.0.then.never.3") == 9  # there is none: the nearest part above it
    assert read(b"{}", "json").line_of("rules.0") is None


@settings(max_examples=60, deadline=None)
@given(policies())
def test_what_is_written_is_read_as_the_same_in_both_forms(policy: Policy):
    document = policy.document()

    assert read(to_yaml(document).encode(), "yaml").policy == policy
    assert read(json.dumps(document).encode(), "json").policy == policy


_NAMES = st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)
# Texts that some schema of YAML takes for something else, and any others.
_LIKE_NUMBERS = st.from_regex(r"[-+]?[0-9.]{1,5}([eExX][-+]?[0-9]{1,3})?", fullmatch=True)
_WORDS = st.sampled_from(
    ["NO", "y", "on", "~", "null", "True", "22:00", "2026-11-30", "<<", "=", "\x85", "\u2028"]
)
_ANY = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
_TEXTS = st.one_of(st.text(_ANY, max_size=64), _LIKE_NUMBERS, _WORDS)


@settings(max_examples=150, deadline=None)
@given(
    _NAMES | _LIKE_NUMBERS.filter(lambda text: "+" not in text),
    st.dictionaries(_TEXTS, _TEXTS | st.text(_ANY, max_size=200), min_size=1, max_size=5),
    st.lists(_TEXTS.filter(bool), min_size=1, max_size=3),
)
def test_any_text_goes_out_and_in_unchanged(account, metadata, customers):
    when = {"metadata": metadata, "customer": customers}
    rule = {"id": "1e3", "when": when, "then": {"split": {account: 0.5, "NO": 1e-07}}}
    document = {"rules": [rule], "residency": {"NO": [account]}}
    assume(sensitive_path(document) is None)
    policy = Policy.model_validate(document)

    assert read(to_yaml(policy.document()).encode(), "yaml").policy == policy


@pytest.mark.parametrize("text", ["1e3", "5e10", "12e03", "-1e2", "\x85", "a\x85 b", "\u2028"])
def test_a_text_that_looks_like_a_number_or_holds_a_line_break_of_unicode_stays_itself(text):
    rule = {"id": "a", "when": {"metadata": {text: text}}, "then": {"only": ["a"]}}

    read_again = read(to_yaml({"rules": [rule]}).encode(), "yaml").policy

    assert read_again.rules[0].when.metadata == {text: text}


@pytest.mark.parametrize(
    ("raw", "path", "instead"),
    [
        ("rules: [{id: x, priority: true, then: {only: [a]}}]", "rules.0.priority", "must be an integer"),
        ('rules: [{id: x, priority: "5", then: {only: [a]}}]', "rules.0.priority", "digits without quotes"),
        ('strategy: {kind: weighted, weights: {a: "0.1"}}', "strategy.weights.a", "a number without quotes"),
        ('strategy: {kind: metrics, success: "0.1"}', "strategy.success", "a number without quotes"),
        ("strategy: {kind: metrics, success: true}", "strategy.success", "a number without quotes"),
        ("rules: [{id: x, then: {only: [5]}}]", "rules.0.then.only.0", "a text in quotes"),
        (
            "rules: [{id: x, when: {time: {since: 22, until: 06:00}}, then: {only: [a]}}]",
            "rules.0.when.time.since",
            "a time of day as HH:MM",
        ),
        (
            "commitments: [{account: a, since: 20260101, by: 2026-12-31, payments: 5}]",
            "commitments.0.since",
            "a day of the calendar as YYYY-MM-DD",
        ),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_path_and_what_to_write(raw, path, instead):
    with pytest.raises(InvalidDocument) as refused:
        read(raw.encode(), "yaml")

    (fault,) = refused.value.faults
    assert fault.path == path
    assert instead in fault.detail


def _with_bins(*bins: str | int) -> bytes:
    rule = {"id": "a", "when": {"bin": list(bins)}, "then": {"only": ["a"]}}
    return json.dumps({"rules": [rule]}).encode()


def test_whole_bins_are_no_card_number_however_many_stand_in_one_list():
    # Joined, the first two and the first four digits of the third are 4111 1111 1111 1111.
    bins = ["411111", "111111", "111100", "41111111", "11111111"]

    assert read(_with_bins(*bins), "json").policy.rules[0].when.bin == bins


@pytest.mark.parametrize(
    ("bins", "path"),
    [
        (["4111", "1111", "1111", "1111"], "rules.0.when.bin"),
        (["411111", "1111", "111111"], "rules.0.when.bin"),
        (["411111", "4111111111111111"], "rules.0.when.bin.1"),
        ([4111111111111111], "rules.0.when.bin.0"),
    ],
)
def test_a_card_number_among_bins_is_found_whole_and_in_groups(bins, path):
    assert _faults(_with_bins(*bins), "json") == [("sensitive_data", path, None)]


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ("accounts: [a]\naccounts: [b]", ("field_invalid", "accounts", 2)),
        ("rules:\n- id: a\n  then: {only: [a], only: [b]}", ("field_invalid", "rules.0.then.only", 3)),
        ("rules:\n- id: a\n  then: {split: {a: 5 %}}", ("field_invalid", "rules.0.then.split.a", 3)),
        ("rules:\n- id: a\n  when: {contry: [NO]}\n  then: {only: [a]}", ("field_unknown", "rules.0.when.contry", 3)),
        ("rules:\n- id: a\n", ("field_missing", "rules.0.then", 2)),
        ("rules:\n- id: a\n  then: {prefer: []}", ("field_invalid", "rules.0.then.prefer", 3)),
        ("strategy:\n  kind: magic", ("field_invalid", "strategy", 1)),
        ("strategy:\n  kind: metrics\n  success: 5", ("field_invalid", "strategy.success", 3)),
        ("accounts: [4111111111111111]", ("sensitive_data", "accounts.0", 1)),
        ("accounts: &all [a]\nresidency: {DE: *all}", ("not_yaml", None, 2)),
        ("accounts: [a\n", ("not_yaml", None, 2)),
        ("{}\n---\n{}", ("not_yaml", None, 2)),
        ("? [a]\n: b", ("not_yaml", None, 1)),
        ("accounts: !!python/object/apply:os.getcwd []", ("field_invalid", "accounts", 1)),
        ("accounts: !!binary YQ==", ("field_invalid", "accounts", 1)),
        ("[" * 1000, ("not_yaml", None, 1)),
        ("accounts: [" + "a," * 30_000 + "]", ("message_too_large", None, 1)),
        ("accounts: [" + "9" * 6000 + "]", ("field_invalid", "accounts.0", 1)),
        ("- a", ("not_an_object", None, None)),
        ("\x07", ("not_yaml", None, None)),
        (b"accounts: [\xff]", ("not_yaml", None, None)),
        ("#" * (DOCUMENT_BYTES_MAX + 1), ("message_too_large", None, None)),
    ],
)  # fmt: skip
def test_yaml_that_is_no_policy_is_refused_with_its_line_and_path(raw, fault):
    assert _faults(raw) == [fault]


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ('{"accounts": ["a"], "accounts": ["b"]}', ("field_invalid", "accounts", None)),
        ('{"accounts": ["a"]\n', ("not_json", None, 2)),
        ("[" * 100_000, ("not_json", None, None)),
        ("9" * 5000, ("not_json", None, None)),
        ("[]", ("not_an_object", None, None)),
        ('{"strategy": {"kind": "adaptive", "explore": NaN}}', ("field_invalid", "strategy.explore", None)),
    ],
)
def test_json_that_is_no_policy_is_refused(raw, fault):
    assert _faults(raw, "json") == [fault]


def test_all_faults_of_a_document_are_named_at_once_and_none_quotes_a_value():
    raw = b"accounts: [bad name]\nstrategy: {kind: success, mood: private}\nrules: [{id: X, then: {}}]"

    with pytest.raises(InvalidDocument) as raised:
        read(raw, "yaml")

    assert len(raised.value.faults) == 4
    assert str(raised.value).startswith("line 1, accounts.0: must be 1 to 64 characters")
    assert "private" not in str(raised.value)


_ARMS = (
    "strategy: {kind: experiment, id: e, control: a, arms: {a: {share: 1, %s}, b: {share: 1, account: b}}}"
)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("amount: 1", "amount: there is no such field; did you mean accounts?"),
        ("metadata: 1", "metadata: there is no such field: leave it out"),
        ("rules: [{id: a, wen: {}, then: {only: [a]}}]", "wen: there is no such field; did you mean when?"),
        ("rules: [{id: a, then: {strategy: {kind: adaptive, success: 1}}}]", "success: there is no such field: leave"),
        ("strategy: {kind: metrics, sucess: 1}", "sucess: there is no such field; did you mean success?"),
        (_ARMS % "acount: a", "a.acount: there is no such field; did you mean account?"),
        (_ARMS % "strategy: {kind: latency, exploer: 0}", "exploer: there is no such field; did you mean explore?"),
        ("commitments: [{account: a, payment: 3}]", "payment: there is no such field; did you mean payments?"),
        ("commitments: [{account: a, since: 2026-11-31}]", "must be a day of the calendar as YYYY-MM-DD"),
        ("commitments: [{account: a, by: 2026-11-30T10:00:00Z}]", "must be a day of the calendar as YYYY-MM-DD"),
        ("rules: [{id: a, when: {time: {since: 25:00}}, then: {only: [a]}}]", "must be a time of day as HH:MM"),
        ("rules: [{id: a, when: {time: {until: [6]}}, then: {only: [a]}}]", "must be a time of day as HH:MM"),
    ],
)  # fmt: skip
def test_a_fault_says_what_to_write_at_its_place(raw, said):
    with pytest.raises(InvalidDocument) as raised:
        read(raw.encode(), "yaml")

    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("raw", "form"),
    [
        *((raw, form) for raw in ("", " \n\n") for form in ("yaml", "json")),
        ("# accounts: [a]\n", "yaml"),
        ("---\n", "yaml"),
        ("~", "yaml"),
        ("null", "json"),
    ],
)
def test_a_document_that_says_nothing_is_refused_and_braces_are_the_policy_without_anything(raw, form):
    with pytest.raises(InvalidDocument, match=r"it is empty: write \{\} for a policy without anything"):
        read(raw.encode(), form)

    assert read(b"{}", form).policy == Policy()
    assert to_yaml({}) == "{}\n"


def test_the_example_of_the_documentation_has_every_form_and_no_finding():
    page = (Path(__file__).parents[2] / "docs" / "routing.md").read_text().partition("## Policies")[2]
    example = page.partition("```yaml\n")[2].partition("```")[0]
    accounts = dict.fromkeys(("stripe-eu", "adyen-eu", "razorpay-in"), frozenset({"EUR", "INR"}))

    policy = read(example.encode(), "yaml").policy

    assert lint(policy, accounts, date(2026, 12, 1)) == []
    for part in (Policy, Conditions, Action, AmountRange, TimeOfDay, Arm, Commitment):
        assert {*part.model_fields} <= _set_in(policy, part), part
    for strategy in (Metrics, Weighted, Geographic, Experiment, Adaptive):
        assert {*strategy.model_fields} <= _set_in(policy, strategy), strategy


def _set_in(value: object, part: type[BaseModel]) -> set[str]:
    """Returns the fields of a part that are written somewhere in the document."""
    found: set[str] = set()
    if isinstance(value, BaseModel):
        found |= value.model_fields_set if isinstance(value, part) else set()
        value = dict(value)
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            found |= _set_in(inner, part)
    return found
