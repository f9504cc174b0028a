from collections.abc import AsyncIterator

import pytest

from gateways.agent.handle import GatewayAgent
from gateways.agent.hooks import OperationHooks
from gateways.contract import Credentials
from infra.postgres.claims import PostgresClaims
from infra.psp.http_client import HttpClient
from infra.settings import DatabaseSettings
from tests.gateways.agent.lookups import MakeAgent, Reports
from tests.support.environment import Environment
from tests.support.fake_psp import FakePsp, TillServer


@pytest.fixture
async def claims(environment: Environment) -> AsyncIterator[PostgresClaims]:
    async with PostgresClaims.open(environment.settings(DatabaseSettings, "gateway"), "test") as opened:
        yield opened


@pytest.fixture
async def psp() -> AsyncIterator[TillServer]:
    async with TillServer().serving() as server:
        yield server


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
async def make(claims: PostgresClaims, psp: TillServer, reports: Reports) -> AsyncIterator[MakeAgent]:
    async with HttpClient.open(10) as http:

        def build(
            gateway: FakePsp | None = None, url: str | None = None, hooks: OperationHooks | None = None
        ) -> GatewayAgent:
            return GatewayAgent(
                gateway or FakePsp(),
                claims=claims,
                http=http,
                outcomes=reports,
                letters=reports,
                samples=reports,
                circuits=reports,
                hooks=hooks,
                credentials_of=lambda account: (
                    Credentials(url or psp.url, "sk_secret") if account == "fake-eu" else None
                ),
                return_url_of=lambda operation_id, until: f"https://shop.example/{operation_id}/{until:%Y}",
            )

        yield build
