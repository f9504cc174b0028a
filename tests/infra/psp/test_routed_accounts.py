from aggregates.fees import NO_FEES
from aggregates.routing.health import AccountHealth
from aggregates.routing.policy import Policy
from aggregates.routing.rules import NO_POLICY, ReadyPolicy
from infra.psp.accounts import Accounts
from infra.psp.routed_accounts import ActivePolicy, RoutedAccounts
from tests.support.builders import NOW


def test_a_policy_and_health_count_from_the_message_after_they_were_read():
    policies, health = {}, {}
    routed = RoutedAccounts(Accounts({}, NO_FEES), policies.copy, health.copy)
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
