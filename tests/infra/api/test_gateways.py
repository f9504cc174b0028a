"""The health of a merchant's PSP accounts by HTTP, and its history."""

from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from commands.health_records import CircuitRecord, HealthRecord, SegmentRecord
from infra.api import schemas_gateways
from infra.kafka import topics
from infra.kafka.producers import producing
from infra.postgres import api_keys
from infra.process import clock
from infra.settings import ApiSettings, KafkaSettings
from projections.gateway_history import put
from tests.projections.test_gateway_history import NOON, change, minute
from tests.support import ports
from tests.support.api import Api, served
from tests.support.environment import Environment
from tests.support.event_stories import read_models_connection
from tests.support.until import until

pytestmark = pytest.mark.stack

ACCOUNTS = """
[merchants.demo]
accounts = ["stripe-eu", "stripe-us"]
[merchants.other]
accounts = ["foreign"]
[accounts.stripe-eu]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "never-there.key"
[accounts.stripe-us]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "never-there.key"
[accounts.foreign]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "never-there.key"
"""


@pytest.fixture
async def gateways_api(environment: Environment, tmp_path: Path):
    file = tmp_path / "accounts.toml"
    file.write_text(ACCOUNTS)
    with connected(environment) as conn:
        key = api_keys.create(conn, "demo", ["payments:read"])
    (port,) = ports.free(1)
    settings = environment.settings(ApiSettings, "api", api_port=port, accounts_file=file)
    async with served(settings, key) as api:
        yield api


def connected(environment: Environment) -> psycopg.Connection:
    return psycopg.connect(environment.dsn(), options=f"-c search_path={environment.schema}", autocommit=True)


def record(account: str, as_of: datetime) -> HealthRecord:
    return HealthRecord(
        gateway="stripe",
        account=account,
        as_of=as_of,
        circuits={
            "sale": CircuitRecord(
                state="half_open", since=as_of, reason="it was open for 60 s", probe_share=0.1
            )
        },
        segments={
            "": SegmentRecord(
                approved=6, declined=2, failed=1, unknown=1, p95_ms=210.5, errors={"timeout": 2}
            ),
            "sale/card": SegmentRecord(approved=6, volume=70, per_minute=3.5),
        },
    )


async def publish(environment: Environment, *records: HealthRecord) -> None:
    async with producing(environment.settings(KafkaSettings, "admin"), "test") as producer:
        for one in records:
            await producer.send_and_wait(
                environment.prefix + topics.HEALTH, one.dump(), key=one.account.encode()
            )


async def test_a_merchant_sees_its_own_accounts_with_their_figures(environment, gateways_api: Api):
    now = clock.now()
    await publish(environment, record("foreign", now), record("stripe-eu", now))

    async def known() -> bool:
        body = (await gateways_api.get("/v1/gateways")).body
        return body["gateways"][0]["health"] == "known"

    await until(known, "the record")
    response = await gateways_api.get("/v1/gateways")

    shown = schemas_gateways.Gateways.model_validate(response.body).gateways
    assert [(one.account, one.health) for one in shown] == [("stripe-eu", "known"), ("stripe-us", "unknown")]
    figures = shown[0].figures
    assert figures is not None
    assert (figures.transactions, figures.approval_rate, figures.error_rate, figures.unknown_rate) == (
        *(10, 0.75, 0.1),
        0.1,
    )
    assert [(one.segment, one.volume) for one in shown[0].segments] == [("sale/card", 70)]
    assert [(one.kind, one.state, one.probe_share) for one in shown[0].circuits] == [
        ("sale", "half_open", 0.1)
    ]
    assert (shown[1].figures, shown[1].as_of) == (None, None)


async def test_an_old_record_is_shown_as_stale(environment, gateways_api: Api):
    await publish(environment, record("stripe-us", clock.now() - timedelta(seconds=31)))

    async def stale() -> bool:
        return (await gateways_api.get("/v1/gateways")).body["gateways"][1]["health"] == "stale"

    await until(stale, "the record")


async def test_the_history_of_an_account_goes_page_by_page(environment, gateways_api: Api):
    async with read_models_connection(environment) as conn:
        await put(conn, [*map(minute, range(3)), change(1)])

    path = f"/v1/gateways/stripe-eu/history?segment=sale&limit=2&before={quote((NOON + timedelta(hours=1)).isoformat())}"
    first = schemas_gateways.GatewayHistory.model_validate((await gateways_api.get(path)).body)

    assert [one.minute for one in first.minutes] == [NOON + timedelta(minutes=n) for n in (2, 1)]
    assert [one.reason for one in first.circuit_changes] == ["5 calls in a row failed"]
    assert first.next_before is not None
    following = quote(first.next_before.isoformat())
    last = await gateways_api.get(f"/v1/gateways/stripe-eu/history?segment=sale&before={following}")
    assert [one["approved"] for one in last.body["minutes"]] == [1]
    assert last.body["next_before"] is None


@pytest.mark.parametrize("account", ["foreign", "nobody"])
async def test_another_merchants_account_is_none(gateways_api: Api, account: str):
    response = await gateways_api.get(f"/v1/gateways/{account}/history")

    assert (response.status, response.body["code"]) == (404, "account_not_found")


@pytest.mark.parametrize(
    "query", ["segment=sale/card/EUR", "limit=0", "limit=1441", "before=2026-11-30T12:00:00"]
)
async def test_a_query_without_sense_is_refused(gateways_api: Api, query: str):
    response = await gateways_api.get(f"/v1/gateways/stripe-eu/history?{query}")

    assert (response.status, response.body["code"]) == (422, "request_invalid")


async def test_a_merchant_without_accounts_has_none_and_a_key_needs_its_scope(environment, gateways_api: Api):
    with connected(environment) as conn:
        nobody = api_keys.create(conn, "nobody", ["payments:read"])
        writer = api_keys.create(conn, "demo", ["payments:write"])

    assert (await gateways_api.get("/v1/gateways", nobody)).body == {"gateways": []}
    assert (await gateways_api.get("/v1/gateways", writer)).status == 403


async def test_without_the_accounts_the_api_says_so(api: Api):
    response = await api.get("/v1/gateways")

    assert (response.status, response.body["code"]) == (503, "accounts_unknown")
