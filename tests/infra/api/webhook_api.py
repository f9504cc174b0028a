"""The API with an account that takes webhooks, what is delivered to it, and what it stored."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from infra.process import clock
from infra.settings import ApiSettings
from tests.gateways.stripe.payloads import intent
from tests.gateways.stripe.webhooks import event, headers
from tests.support import ports
from tests.support.api import Answer, Api, served
from tests.support.environment import Environment

NEW, OLD = "whsec_new_secret_of_eu", "whsec_old_secret_of_eu"
ACCOUNTS = """
[merchants.demo]
accounts = ["eu", "silent"]
[accounts.eu]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "never-there.key"
webhook_secret_files = ["new.key", "old.key"]
[accounts.silent]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "never-there.key"
"""
PATH = "/webhooks/stripe/eu"
BODY = event("payment_intent.succeeded", intent())


@asynccontextmanager
async def serving(environment: Environment, accounts: Path) -> AsyncIterator[Api]:
    (port,) = ports.free(1)
    settings = environment.settings(ApiSettings, "api", api_port=port, accounts_file=accounts)
    async with served(settings, "no key") as webhooks_api:
        yield webhooks_api


async def deliver(
    webhooks_api: Api, body: bytes = BODY, *, secret: str = NEW, age_s: int = 0, path: str = PATH, **more: str
) -> Answer:
    signed = headers(body, secret, clock.now() - timedelta(seconds=age_s))
    return await webhooks_api.ask("POST", path, None, signed | {"Authorization": None} | more, body)


def stored_events(owner: psycopg.Connection) -> list[Any]:
    return owner.execute(
        "SELECT event_id, state, notice, headers, body FROM webhooks_in JOIN webhook_deliveries USING (delivery_id)"
    ).fetchall()


def counted(counter: Any, *labels: str) -> float:
    value: float = counter.labels(*labels)._value.get()
    return value
