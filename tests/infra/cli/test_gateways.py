"""The health of the accounts at the terminal."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commands.health_records import CircuitRecord, HealthRecord, SegmentRecord
from infra.cli.gateways import _tell
from infra.kafka import topics
from infra.kafka.producers import producing
from infra.settings import KafkaSettings
from tests.infra.cli.terminal import run
from tests.support.environment import Environment

_ACCOUNTS = """
[merchants.shop]
accounts = ["stripe-eu", "quiet"]
[accounts.stripe-eu]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "never-there.key"
[accounts.quiet]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "never-there.key"
"""
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
WELL = HealthRecord(
    gateway="stripe",
    account="stripe-eu",
    as_of=NOW - timedelta(seconds=2),
    circuits={"sale": CircuitRecord(state="closed", since=NOW, reason="nothing has failed yet")},
    segments={
        "": SegmentRecord(approved=90, declined=10, p50_ms=120.4, p95_ms=310.0, per_minute=42.0, score=0.97)
    },
)
ILL = HealthRecord(
    gateway="adyen",
    account="adyen-eu",
    as_of=NOW - timedelta(seconds=40),
    circuits={
        "sale": CircuitRecord(
            state="open",
            since=NOW - timedelta(seconds=40),
            until=NOW + timedelta(seconds=20),
            reason="5 calls in a row failed, the last with timeout",
        )
    },
    segments={
        "": SegmentRecord(approved=3, failed=1, unknown=4, errors={"timeout": 4, "http_503": 1}, score=0.41)
    },
)


def test_a_table_has_a_line_for_each_account_and_says_why_a_circuit_is_open(
    capsys: pytest.CaptureFixture[str],
):
    _tell([("adyen-eu", ILL), ("stripe-eu", WELL)], {}, NOW)

    lines = capsys.readouterr().out.splitlines()
    header, ill, well, circuit, errors = lines
    assert header == "account    PSP     score  approval rate  errors  unknown     p50     p95  per min  of"
    assert (
        ill
        == "adyen-eu   adyen    0.41          100 %    12 %     50 %       -       -      0.0  40 s ago, stale"
    )
    assert (
        well == "stripe-eu  stripe   0.97           90 %     0 %      0 %  120 ms  310 ms     42.0  2 s ago"
    )
    assert circuit == (
        "adyen-eu: the circuit of sale is open since 11:59:20 UTC, until 12:00:20 UTC: "
        "5 calls in a row failed, the last with timeout"
    )
    assert errors == "adyen-eu: errors among the last 100 transactions: timeout 4, http_503 1"


def test_an_account_that_was_never_called_has_a_line_too(capsys: pytest.CaptureFixture[str]):
    bare = WELL.model_copy(update={"account": "bare", "segments": {}})

    _tell([("bare", bare), ("stripe-eu", WELL)], {"paypal-us": "paypal"}, NOW)

    _, first, second, third = capsys.readouterr().out.splitlines()
    assert [*first.split()[:3], first[-12:]] == ["bare", "stripe", "-", "no calls yet"]
    assert [*second.split()[:3], second[-12:]] == ["paypal-us", "paypal", "-", "no calls yet"]
    assert third.startswith("stripe-eu")


@pytest.mark.stack
async def test_it_reads_the_latest_record_of_each_account(environment: Environment, tmp_path: Path):
    env = {"AEGISPAY_KAFKA": environment.kafka, "AEGISPAY_TOPIC_PREFIX": environment.prefix}
    assert "No PSP account has been called yet" in run("gateways", **env).stdout
    settings = environment.settings(KafkaSettings, "admin")
    async with producing(settings, "test") as producer:
        for account, value in (
            ("gone", WELL.dump()),
            ("stripe-eu", ILL.dump()),
            ("stripe-eu", WELL.dump()),
            ("stripe-eu", b"{"),
            ("gone", None),
        ):
            await producer.send_and_wait(environment.prefix + topics.HEALTH, value, key=account.encode())

    (shown,) = json.loads(run("gateways", "--json", **env).stdout)
    assert (shown["account"], shown["segments"][""]["approved"]) == ("stripe-eu", 90)
    (tmp_path / "accounts.toml").write_text(_ACCOUNTS)
    text = run("gateways", "--accounts", str(tmp_path / "accounts.toml"), **env).stdout
    assert [line.split()[0] for line in text.splitlines()] == ["account", "quiet", "stripe-eu"]
    shown = json.loads(run("gateways", "--accounts", str(tmp_path / "accounts.toml"), "--json", **env).stdout)
    assert shown[1] == {
        "gateway": "stripe",
        "account": "quiet",
        "as_of": None,
        "circuits": {},
        "segments": {},
    }
