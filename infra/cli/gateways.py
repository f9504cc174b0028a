"""`aegispay gateways`: the health of every PSP account, as a table to be read at a glance."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from infra.cli.options import AsJson, Data
from infra.cli.output import say, write_json
from infra.cli.policy_target import AccountsFile, accounts_file

if TYPE_CHECKING:
    from commands.health_records import HealthRecord, SegmentRecord

_READ_WITHIN_S: Final = 20.0
_HEAD: Final = (
    "account",
    "PSP",
    "score",
    "approval rate",
    "errors",
    "unknown",
    "p50",
    "p95",
    "per min",
    "of",
)
_NO_CALLS: Final = "no calls yet"
_TO_THE_LEFT: Final = frozenset({"account", "PSP", "of"})


def gateways(accounts: AccountsFile = None, data: Data = None, *, json: AsJson = False) -> None:
    """Show the health of each PSP account: circuits, rates, latencies."""
    import asyncio

    from infra.psp.accounts import Accounts

    found: dict[str, HealthRecord] = asyncio.run(_latest(data))
    file = accounts_file(accounts, data)
    settled = {} if file is None else Accounts.load(file).gateway_of_each
    uncalled = {account: gateway for account, gateway in settled.items() if account not in found}
    records = sorted(found.items())
    if json:
        rest: list[dict[str, object]] = [
            {"gateway": gateway, "account": account, "as_of": None, "circuits": {}, "segments": {}}
            for account, gateway in sorted(uncalled.items())
        ]
        write_json([record.model_dump(mode="json") for _, record in records] + rest)
        return
    if records or uncalled:
        _tell(records, uncalled, datetime.now(UTC))
    if not records:
        say("No PSP account has been called yet, or no health worker runs.")


async def _latest(data: Any) -> "dict[str, HealthRecord]":
    """Reads the topic to its end. Raises Kafka's errors, and `TimeoutError`."""
    import asyncio

    from aiokafka import TopicPartition

    from commands.health_records import HealthRecord
    from commands.messages import InvalidMessage
    from infra.cli.target import settings_of
    from infra.kafka import reader, topics
    from infra.settings import KafkaSettings

    settings = settings_of(KafkaSettings, "audit", data)
    place = TopicPartition(settings.topic_prefix + topics.HEALTH, 0)
    found: dict[str, HealthRecord] = {}
    async with asyncio.timeout(_READ_WITHIN_S), reader.consumer(settings.kafka, group_id=None) as consumer:
        firsts, ends = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
        async for records in reader.read_between(consumer, firsts, ends):
            for record in map(reader.record_of, records):
                account = (record.key or b"").decode(errors="replace")
                if record.value is None:
                    found.pop(account, None)
                    continue
                # One that cannot be read changes nothing, as for the workers.
                with suppress(InvalidMessage):
                    found[account] = HealthRecord.read(record.content())
    return found


def _tell(records: "list[tuple[str, HealthRecord]]", uncalled: Mapping[str, str], now: datetime) -> None:
    """`uncalled`: the gateways of the accounts without a record, by their names."""
    rows = {
        account: (account, record.gateway, *_cells(whole), _age(record.as_of, now))
        for account, record in records
        if (whole := record.segments.get("")) is not None
    }
    others = {account: record.gateway for account, record in records if account not in rows}
    for account, gateway in {**uncalled, **others}.items():
        rows[account] = (account, gateway, *("-" for _ in _HEAD[3:]), _NO_CALLS)
    _tell_rows([_HEAD, *(rows[account] for account in sorted(rows))])
    for account, record in records:
        for kind, circuit in sorted(record.circuits.items()):
            if circuit.state == "closed":
                continue
            state = circuit.state.replace("_", "-")
            until = "" if circuit.until is None else f", until {circuit.until:%H:%M:%S} UTC"
            say(
                f"{account}: the circuit of {kind} is {state} since {circuit.since:%H:%M:%S} UTC{until}: {circuit.reason}"
            )
        errors = {} if (whole := record.segments.get("")) is None else whole.errors
        if errors:
            listed = ", ".join(f"{name} {count}" for name, count in errors.items())
            say(f"{account}: errors among the last 100 transactions: {listed}")


def _tell_rows(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (
            cell.ljust(width) if name in _TO_THE_LEFT else cell.rjust(width)
            for name, cell, width in zip(_HEAD, row, widths, strict=True)
        )
        say("  ".join(padded).rstrip())


def _cells(whole: "SegmentRecord") -> tuple[str, ...]:
    decided = whole.approved + whole.declined
    transactions = decided + whole.failed + whole.unknown
    return (
        f"{whole.score:.2f}",
        _share(whole.approved, decided),
        _share(whole.failed, transactions),
        _share(whole.unknown, transactions),
        _ms(whole.p50_ms),
        _ms(whole.p95_ms),
        f"{whole.per_minute:.1f}",
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _age(as_of: datetime, now: datetime) -> str:
    from aggregates.routing.health import is_fresh

    age_s = max(0, round((now - as_of).total_seconds()))
    stale = not is_fresh(as_of, now)
    return f"{age_s} s ago" + (", stale" if stale else "")
