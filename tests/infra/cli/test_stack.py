"""The addresses that `aegispay up` and `aegispay status` print."""

from pathlib import Path

from rich.console import Console

from infra.cli.stack import _show
from infra.tools.local.state import StackState

STATE = StackState(
    pid=1,
    data=Path("data"),
    kafka="127.0.0.1:9092",
    topic_prefix="",
    partitions=12,
    api_url="http://127.0.0.1:8000",
    api_key="ak_1_secret",
    database_url="postgresql://127.0.0.1/aegispay",
    database_admin_url="postgresql://127.0.0.1/postgres",
    database_schema="aegispay",
    simulator_url="http://127.0.0.1:8001",
    simulator_ledger=Path("ledger"),
    simulator_latency_ms=0,
    accounts_file=Path("accounts.toml"),
    processes=(),
)


def test_the_stack_names_its_merchants_and_whose_api_key_it_prints():
    console = Console(record=True, width=200)

    _show(STATE, console)

    assert "merchants           demo (whose API key that is), other\n" in console.export_text()
