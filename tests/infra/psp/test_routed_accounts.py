from datetime import datetime, timedelta

from aggregates.fees import NO_FEES
from aggregates.routing.choice import choose
from aggregates.routing.explain import recompute
from aggregates.routing.health import AccountHealth
from aggregates.routing.policy import Policy
from aggregates.routing.rules import NO_POLICY, ReadyPolicy
from commands.volume_records import CommitmentShare, MonthVolume, VolumeRecord
from infra.psp.accounts import Accounts
from infra.psp.routed_accounts import ActivePolicy, RoutedAccounts
from tests.aggregates.routing.situations import situation
from tests.support.builders import NOW


def test_a_policy_and_health_count_from_the_message_after_they_were_read():
    policies, health = {}, {}
    routed = RoutedAccounts(Accounts({}, NO_FEES), policies.copy, health.copy, dict, lambda: NOW)
    before = routed.for_payment("demo", "EUR", "pm_card_visa")

    policies["demo"] = ActivePolicy(1, ReadyPolicy.of(Policy(), 3))
    health["sim-eu"] = AccountHealth("sim-eu", NOW)
    after = routed.for_payment("demo", "EUR", "pm_card_visa")

    assert (before.policy, before.health.accounts) == (NO_POLICY, {})
    assert (after.policy.version, set(after.health.accounts)) == (3, {"sim-eu"})
    assert routed.for_payment("other", "EUR", "pm_card_visa").policy is NO_POLICY


def test_a_policy_that_an_overtaken_relay_sends_later_does_not_replace_a_newer_one():
    newer, older = (ActivePolicy(change, NO_POLICY) for change in (5, 4))

    assert newer.replaces(older)
    assert newer.replaces(newer)
    assert not older.replaces(newer)


def volumes(as_of: datetime) -> dict[str, VolumeRecord]:
    return {
        "demo": VolumeRecord(
            merchant_id="demo",
            as_of=as_of,
            month="2026-11",
            accounts=(MonthVolume(account="sim-eu", currency="EUR", payments=3, amount_minor=5000),),
            commitments=(
                CommitmentShare(
                    account="sim-us",
                    currency="EUR",
                    done=1,
                    target=9,
                    share=0.25,
                    until=NOW + timedelta(days=9),
                ),
            ),
        )
    }


def test_what_a_commitment_needs_is_of_its_merchant_and_its_currency_alone():
    routed = RoutedAccounts(Accounts({}, NO_FEES), dict, dict, lambda: volumes(NOW), lambda: NOW)

    assert routed.for_payment("demo", "EUR", "pm_card_visa").shares == {"sim-us": 0.25}
    assert routed.for_payment("demo", "USD", "pm_card_visa").shares == {}
    assert routed.for_payment("other", "EUR", "pm_card_visa").shares == {}


def test_a_price_list_is_read_at_the_volume_of_this_month_and_of_no_other():
    now = NOW
    held = volumes(NOW)
    routed = RoutedAccounts(Accounts({}, NO_FEES), dict, dict, lambda: held, lambda: now)

    assert routed.fees.volumes == {("sim-eu", "EUR"): 5000}
    assert routed.fees is routed.fees
    now = NOW + timedelta(days=30)
    assert routed.fees.volumes == {}


def test_without_any_record_of_volumes_they_are_unknown_and_not_nothing():
    routed = RoutedAccounts(Accounts({}, NO_FEES), dict, dict, dict, lambda: NOW)

    assert routed.fees.volumes is None


def test_a_policy_that_this_release_cannot_read_makes_payments_wait_and_not_go_anywhere():
    newer = b'{"type": "routing_policy.v9", "merchant_id": "demo", "change": 7, "document": {"rules": "?"}}'

    read = ActivePolicy.read(newer)
    decision = choose(situation("ab", policy=read.ready))

    assert (decision.account, decision.may_pass) == (None, True)
    assert {one.code for one in decision.excluded.values()} == {"policy_unreadable"}
    assert read.merchant_id == "demo", "so that it is skipped under another's key"
    assert ActivePolicy.read(b"[]").merchant_id is None
    held = ActivePolicy(1, NO_POLICY)
    assert read.replaces(held), "a worker that starts later has nothing else"
    assert held.replaces(read)
    again = recompute(decision.record(), decision.situation.facts, NO_POLICY, decision.situation.now)
    assert again.record() == decision.record()
