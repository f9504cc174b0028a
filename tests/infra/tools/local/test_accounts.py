"""The two files of a stack's accounts. What AegisPay expects to pay and what the simulator charges are
written and calculated apart; in a stack that nobody has changed they are the same."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from aggregates.fees import FeeFacts
from aggregates.money import Money
from gateways.simulator import registry
from gateways.simulator.core.fees import Fees
from gateways.simulator.core.money import MILLS
from infra.psp.accounts import Accounts
from infra.tools.local.accounts import ACCOUNTS, make_secrets, of_aegispay, of_simulator

AT = datetime(2026, 11, 30, tzinfo=UTC)
CHARGED = {"sale": "captured", "capture": "captured", "refund": "refunded", "dispute": "disputed"}
DECIMALS = {"EUR": 2, "GBP": 2, "INR": 2, "JPY": 0, "SEK": 2, "USD": 2}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    file: Path = tmp_path_factory.mktemp("accounts") / "accounts.toml"
    file.write_text(of_aegispay("http://127.0.0.1:1", {}))
    return Accounts.load(file)


@pytest.fixture(scope="module")
def theirs() -> Fees:
    made = registry.accounts(of_simulator(make_secrets(), None, {}))
    lists = {psp.name: psp.fees for psp in registry.PSPS if psp.fees is not None}
    return Fees(lists, {(one.gateway, one.name): one.fees for one in made.all if one.fees is not None})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    account=st.sampled_from(ACCOUNTS),
    kind=st.sampled_from(sorted(CHARGED)),
    paid=st.builds(Money, st.integers(1, 99_999_999), st.sampled_from(sorted(DECIMALS))),
)
def test_aegispay_expects_what_the_simulator_charges(ours, theirs, account, kind, paid):
    assume(paid.currency in theirs.lists[account.gateway].currencies)
    mills = paid.minor * MILLS // 10 ** DECIMALS[paid.currency]
    kept = theirs.of(account.gateway, account.name, CHARGED[kind], mills, paid.currency)

    expected = ours.fees.fees(account.name, kind, FeeFacts(paid.minor, paid.currency), AT)

    if kept is None:
        assert expected is None or expected.total.minor == 0
    else:
        assert expected is not None
        assert expected.total.currency == paid.currency
        assert expected.total.minor * MILLS // 10 ** DECIMALS[paid.currency] == kept.mills
