"""`aegispay policy`, on a real PostgreSQL where it needs one."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from aggregates import attempts
from aggregates.hooks import Verdict
from aggregates.payment import Payment
from aggregates.routing.facts import Hints
from aggregates.routing.policy import Policy
from aggregates.routing.rules import ReadyPolicy
from tests.infra.cli.terminal import Done, run
from tests.support import builders
from tests.support.environment import Environment
from tests.support.event_stories import put_into_store, stored
from tests.support.policies import activate, api_session

_WORDS = ("--who", "Kim", "--reason", "the new contract", "--merchant", "shop")
_ACCOUNTS = """
[merchants.shop]
accounts = ["sim-eu", "sim-us"]
[accounts.sim-eu]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "never-there.key"
currencies = ["EUR"]
[accounts.sim-us]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "never-there.key"
"""
_WRONG = """\
accounts: [sim-eu]
rules:
  - id: all
    then: {prefer: [sim-eu]}
  - id: norway
    when: {country: [NO]}
    then: {prefer: [sim-uk]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(content: str, name: str = "policy.yaml") -> str:
        (tmp_path / name).write_text(content)
        return str(tmp_path / name)

    return write


def test_lint_names_each_finding_with_its_line_and_needs_no_server(file):
    accounts = file(_ACCOUNTS, "accounts.toml")
    wrong = file(_WRONG)

    done = run("policy", "lint", wrong, "--merchant", "shop", "--accounts", accounts)

    assert done.returncode == 1
    unknown, shadowed = done.stdout.splitlines()
    assert unknown == (
        "error in line 7, rules.1.then.prefer.0: the merchant has no account sim-uk; did you mean sim-us?"
    )
    assert shadowed.startswith(
        "error in line 5, rules.1: rule norway never decides: rule all is applied before it"
    )
    mistyped = run("policy", "lint", wrong, "--merchant", "shup", "--accounts", accounts)
    assert (mistyped.returncode, f"{accounts} has no merchant shup" in mistyped.stderr) == (2, True)
    as_json = json.loads(run("policy", "lint", wrong, "--json").stdout)
    assert as_json["accounts_known"] is False
    assert [(one["code"], one["line"]) for one in as_json["findings"]] == [("unreachable", 5)]


def test_a_sound_policy_and_one_with_warnings_may_be_activated(file):
    sound = run("policy", "lint", file("strategy: {kind: cost}"))
    warned = run("policy", "lint", file("strategy: {kind: metrics, success: 0.7}"))

    assert (sound.returncode, sound.stdout) == (0, "Nothing is wrong.\n")
    assert "Nothing is said about accounts" in sound.stderr
    assert (warned.returncode, warned.stdout[:15]) == (0, "warning in line")


def test_what_is_no_policy_is_mistyped_with_all_its_faults(file):
    wrong = file("accounts: [a]\nstrategy: {kind: metrics, success: 5}\nmood: good\n")

    done = run("policy", "lint", wrong)

    assert done.returncode == 2
    assert (
        "line 2, strategy.success: a share is a number from 0 to 1: write 0.05 where 5 % is meant"
        in done.stderr
    )
    assert "line 3, mood: there is no such field" in done.stderr
    assert run("policy", "lint", "/nowhere/policy.yaml").returncode == 2


def test_two_files_are_compared_without_a_server(file):
    old, new = file("{}", "old.yaml"), file('{"strategy": {"kind": "cost"}}', "new.json")

    assert run("policy", "diff", old, new).stdout == "strategy is new: (kind cost)\n"
    assert "say the same" in run("policy", "diff", old, old).stdout


@pytest.mark.stack
def test_a_policy_is_drafted_compared_activated_and_returned_from(environment: Environment, file):
    admin, audit = environment.env("admin"), environment.env("audit")
    accounts = ("--accounts", file(_ACCOUNTS, "accounts.toml"))
    first, second = file("accounts: [sim-us, sim-eu]"), file("strategy: {kind: cost}", "second.yaml")

    def shown(name: str = "active") -> Any:
        return json.loads(run("policy", "show", name, "--merchant", "shop", "--json", **audit).stdout)

    nothing = run("policy", "show", "--merchant", "shop", **audit)
    assert (nothing.returncode, "the order of the settings decides" in nothing.stdout) == (0, True)
    drafted = run("policy", "draft", first, *_WORDS, *accounts, **admin)
    assert (drafted.returncode, drafted.stdout) == (0, "Version 1 is a draft.\n"), drafted.stderr
    asked = run("policy", "activate", "1", *_WORDS, *accounts, typed="y\n", **admin)
    assert asked.returncode == 0, asked.stderr
    assert "accounts is new: sim-us, sim-eu" in asked.stdout
    assert "Version 1 routes the payments of shop." in asked.stdout

    run("policy", "draft", second, *_WORDS, *accounts, **admin)
    compared = run("policy", "diff", "draft", "--merchant", "shop", **audit)
    assert compared.stdout.splitlines()[-1] == "strategy is new: (kind cost)"
    assert run("policy", "activate", "2", *_WORDS, "--json", **admin).returncode == 2  # nobody could confirm
    assert run("policy", "activate", "2", *_WORDS, *accounts, "--yes", **admin).returncode == 0
    assert run("policy", "rollback", "1", *_WORDS, *accounts, "--yes", **admin).returncode == 0

    state = shown()
    assert [(one["number"], one["state"]) for one in state["versions"]] == [(1, "active"), (2, "former")]
    assert state["document"] == {"accounts": ["sim-us", "sim-eu"]}
    assert state["versions"][0]["activated_by"] == "Kim (aegispay policy rollback)"
    assert shown("2")["document"] == {"strategy": {"kind": "cost"}}
    text = run("policy", "show", "--merchant", "shop", **audit).stdout
    assert "former" in text
    assert "UTC  Kim (aegispay policy rollback): the new contract" in text
    assert state["versions"][0]["activation_reason"] == "the new contract"
    assert text.endswith("accounts:\n- sim-us\n- sim-eu\n")


@pytest.mark.stack
def test_what_the_rules_refuse_ends_with_1_and_says_why(environment: Environment, file):
    admin = environment.env("admin")
    accounts = ("--accounts", file(_ACCOUNTS, "accounts.toml"))
    drafted = run("policy", "draft", file(_WRONG), *_WORDS, *accounts, **admin)
    assert "error in line 7" in drafted.stdout

    refused = run("policy", "activate", "1", *_WORDS, *accounts, "--yes", **admin)
    never = run("policy", "rollback", "1", *_WORDS, "--yes", **admin)
    missing = run("policy", "show", "9", "--merchant", "shop", **admin)
    card = run("policy", "draft", file("{}"), "--who", "Kim", "--reason", "4242 4242 4242 4242", **admin)

    assert (refused.returncode, "has no account sim-uk" in refused.stderr) == (1, True)
    assert (never.returncode, "was never active" in never.stderr) == (1, True)
    assert (missing.returncode, "shop has no version 9" in missing.stderr) == (1, True)
    assert (card.returncode, "4242" in card.stderr + card.stdout) == (2, False)


def _routed(policy: Policy, number: int, verdicts: Sequence[Verdict] = (), **fields: Any) -> Payment:
    route = replace(builders.TWO_ACCOUNTS, policy=ReadyPolicy.of(policy, number))
    request = builders.payment_request(merchant_id="shop", idempotency_key=str(uuid4()), **fields)
    return attempts.request(uuid4(), request, route, builders.cause(fingerprint="f" * 64), verdicts)


@pytest.fixture
def routed(environment: Environment) -> list[UUID]:
    """Twenty payments of the merchant `shop`, every other one of a German customer, by its version 1."""
    document = {
        "accounts": ["sim-us", "sim-eu"],
        "rules": [{"id": "german", "when": {"country": ["DE"]}, "then": {"only": ["sim-eu"]}}],
    }

    async def activated() -> None:
        async with api_session(environment) as connection:
            await activate(connection, "shop", **document)

    asyncio.run(activated())
    policy = Policy.model_validate(document)
    payments = [_routed(policy, 1, country="DE" if place % 2 else "FR") for place in range(20)]
    put_into_store(environment, [event for payment in payments for event in stored(payment)])
    with environment.connect("admin") as owner:
        for payment in payments:
            owner.execute(
                "INSERT INTO payments (payment_id, version, merchant_id) VALUES (%s, 2, 'shop')",
                (payment.id,),
            )
    return [payment.id for payment in payments]


@pytest.mark.stack
def test_explain_shows_a_decision_and_makes_it_again(environment: Environment, routed):
    done = run("policy", "explain", str(routed[1]), **environment.env("audit"))

    assert done.returncode == 0, done.stderr
    assert "attempt 1: sim-eu" in done.stdout
    assert "by order, policy 1, health none" in done.stdout
    assert "country DE" in done.stdout
    assert "rules: german" in done.stdout
    assert "sim-us: excluded (rule): rule german rules it out" in done.stdout
    assert done.stdout.endswith("made again from this record: the same\n")
    nobody = run("policy", "explain", str(uuid4()), **environment.env("audit"))
    assert (nobody.returncode, "There is no payment" in nobody.stderr) == (1, True)


@pytest.mark.stack
def test_explain_names_the_hook_behind_a_hint_and_its_reason(environment: Environment):
    hook = Verdict(
        "residency", "routing", "allow", 1.0, reason="data stays in the EU", hints=Hints(never=("sim-us",))
    )
    payment = _routed(Policy(), 0, verdicts=[hook])
    put_into_store(environment, stored(payment))

    text = run("policy", "explain", str(payment.id), **environment.env("audit"))
    as_json = run("policy", "explain", str(payment.id), "--json", **environment.env("audit"))

    assert text.returncode == 0, text.stderr
    assert "  hints: never sim-us\n" in text.stdout
    assert "  hook residency: never sim-us, reason data stays in the EU\n" in text.stdout
    (decision,) = json.loads(as_json.stdout)["decisions"]
    assert decision["hooks"] == [{"hook": "residency", "never": ["sim-us"], "reason": "data stays in the EU"}]


@pytest.mark.stack
def test_a_record_that_was_changed_is_an_error(environment: Environment, routed):
    with environment.connect("admin") as owner:
        owner.execute(
            "UPDATE payment_events SET state = convert_to(jsonb_set(convert_from(state, 'UTF8')::jsonb,"
            " '{decision,account}', '\"sim-us\"')::text, 'UTF8')"
            " WHERE originator_id = %s AND topic = 'operation.started.v1'",
            (routed[1],),
        )

    done = run("policy", "explain", str(routed[1]), **environment.env("audit"))
    as_json = run("policy", "explain", str(routed[1]), "--json", **environment.env("audit"))

    assert (done.returncode, as_json.returncode) == (1, 1)
    assert 'account: recorded "sim-us", now "sim-eu"' in done.stderr
    (decision,) = json.loads(as_json.stdout)["decisions"]
    assert (decision["same"], decision["decision"]["account"], decision["again"]["account"]) == (
        False,
        "sim-us",
        "sim-eu",
    )


@pytest.mark.stack
def test_try_counts_the_decisions_that_a_policy_would_change_and_changes_nothing(
    environment: Environment, routed, file
):
    def tried(content: str, *more: str) -> Done:
        accounts = ("--accounts", file(_ACCOUNTS, "accounts.toml"))
        arguments = ("policy", "try", file(content), "--merchant", "shop", *accounts, *more)
        return run(*arguments, **environment.env("audit"))

    same = tried(
        "accounts: [sim-us, sim-eu]\nrules: [{id: x, when: {country: [DE]}, then: {only: [sim-eu]}}]"
    )
    assert same.stdout == "0 of 20 decisions would change (0.0%), in 20 payments of shop.\n"
    # Without a rule, and in the order of the settings, all go to sim-eu.
    all_eu = tried("{}", "--show", "1")
    assert all_eu.returncode == 0
    assert all_eu.stdout.splitlines()[1:] == [
        "     10  from sim-us to sim-eu",
        "10 of 20 decisions would change (50.0%), in 20 payments of shop.",
    ]
    found = json.loads(
        tried("rules: [{id: x, then: {never: [sim-eu, sim-us]}}]", "--json", "--last", "5").stdout
    )
    assert (found["payments"], found["decisions"], found["changed"]) == (5, 5, 5)
    assert {move["to"] for move in found["moves"]} == {"none"}
    assert len(found["examples"]) == 5
    assert [one["code"] for one in found["errors"]] == ["contradiction"]
    assert (
        "It could not be activated: 1 error, the first at"
        in tried("rules: [{id: x, then: {only: [sim-uk]}}]").stderr
    )
    with environment.connect("audit") as connection:
        assert connection.execute("SELECT count(*) FROM payment_events").fetchone() == (40,)
