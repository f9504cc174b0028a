"""The example of docs/fees.md gives the fees that its table says."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from aggregates.fees import FeeFacts, FeeKind
from infra.psp.accounts import Accounts

PAGE = (Path(__file__).parents[3] / "docs" / "fees.md").read_text()
TABLES = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
ROWS = re.findall(
    r"^\| (\w+) \| ([0-9.]+) (EUR|USD) \| (\w\w|-) \| ([0-9.]+ EUR|unknown) \| ([\w-]+) \|$",
    PAGE,
    re.MULTILINE,
)
ACCOUNT = """
[merchants.shop]
accounts = ["sim-eu"]
[accounts.sim-eu]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "sim-eu.key"
"""


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Accounts:
    assert TABLES is not None
    file = tmp_path_factory.mktemp("page") / "accounts.toml"
    file.write_text(ACCOUNT + TABLES[1])
    return Accounts.load(file)


def test_the_page_has_its_example():
    assert len(ROWS) == 8


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_example_is_what_aegispay_expects(accounts: Accounts, row: tuple[str, ...]):
    kind, amount, currency, country, fee, by = row
    place = None if country == "-" else country
    facts = FeeFacts(int(amount.replace(".", "")), currency, country=place)
    found = accounts.fees.fees("sim-eu", cast("FeeKind", kind), facts, datetime(2026, 11, 30, tzinfo=UTC))

    shown = ("unknown", "-") if found is None else (str(found.total), found.rule)
    assert shown == (fee, by)
