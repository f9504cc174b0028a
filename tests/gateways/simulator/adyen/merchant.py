"""A merchant at the simulator: it sends what our adapter writes, its customer passes 3-D Secure, and it reads
the webhooks.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import aiohttp
import orjson

from commands.messages import Outcome
from commands.notices import Notice
from gateways.adyen.adapter import Adyen
from gateways.contract import (
    Call,
    Credentials,
    HttpRequest,
    HttpResponse,
    Webhook,
    WebhookKeys,
    WebhookRefused,
)
from gateways.simulator.core.ledger import read_movements, read_open
from tests.gateways.simulator.receiver import Receiver
from tests.support import psp_calls
from tests.support.movements import minor
from tests.support.until import until

SECRET: Final = "AQEtheKeyOfTheShopAtAdyen"
HMAC_KEY: Final = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
MERCHANT: Final = "ShopECOM"
ADYEN: Final = Adyen()
KEYS: Final = WebhookKeys((HMAC_KEY,), {"merchant_account": MERCHANT})


def begin(kind: Literal["authorize", "sale"], token: str = "sim_APPROVED", **more: Any) -> Call:
    """The first step of a new payment's first attempt."""
    known: dict[str, Any] = {
        "reference": f"{uuid4().hex}-{kind[0]}1",
        "kind": kind,
        "return_url": "https://shop.example/back?order=7",
    }
    return psp_calls.sale(token, **(known | more))


def later(
    kind: Literal["capture", "void", "refund"], of: Call, amount_minor: int = 1099, ordinal: int = 2
) -> Call:
    payment = of.reference.partition("-")[0]
    return replace(
        of,
        kind=kind,
        step="1",
        reference=f"{payment}-{kind[0]}{ordinal}",
        amount_minor=amount_minor,
        target_reference=of.reference,
        target_psp_id=of.psp_id,
        psp_id=None,
    )


@dataclass(frozen=True, slots=True)
class Merchant:
    http: aiohttp.ClientSession
    root: str
    ledger_file: Path
    receiver: Receiver

    @property
    def url(self) -> str:
        return f"{self.root}/adyen"

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.url, SECRET, options={"merchant_account": MERCHANT})

    async def send(self, call: Call) -> Outcome:
        return ADYEN.outcome(call, await self.post(ADYEN.request(call, self.credentials)))

    async def cancel(self, call: Call) -> Outcome:
        ended = replace(call, step="x")
        return ADYEN.cancelled(ended, await self.post(ADYEN.cancel(ended, self.credentials)))

    async def post(self, request: HttpRequest | Outcome) -> HttpResponse:
        assert isinstance(request, HttpRequest), request
        async with self.http.post(
            self.url + request.path, data=request.body, headers=dict(request.headers)
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpResponse(response.status, headers, await response.read())

    async def raw(self, path: str, body: Any, key: str | None = None, secret: str = SECRET) -> HttpResponse:
        """What no adapter writes."""
        headers = {"X-API-Key": secret} | ({} if key is None else {"Idempotency-Key": key})
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.post(HttpRequest("POST", f"/v72/{path}", headers, data))

    async def passes(self, outcome: Outcome, result: str = "pass") -> dict[str, str]:
        """What the customer's browser brings back from the page."""
        assert outcome.action_url is not None
        async with self.http.get(outcome.action_url) as page:
            assert page.status == 200
        async with self.http.post(outcome.action_url, data={"result": result}, allow_redirects=False) as went:
            assert went.status == 303
            back = urlsplit(went.headers["Location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" == "https://shop.example/back"
        return {name: values[0] for name, values in parse_qs(back.query).items()}

    async def authorized(self, token: str = "sim_APPROVED", **more: Any) -> Call:
        """With Adyen's id."""
        call = begin("authorize", token, **more)
        outcome = await self.send(call)
        assert outcome.kind == "APPROVED", outcome
        return replace(call, psp_id=outcome.psp_id)

    async def sold(self, token: str = "sim_APPROVED", **more: Any) -> Call:
        call = begin("sale", token, **more)
        held = await self.send(call)
        assert held.next_step == "3", held
        taking = replace(call, step="3", psp_id=held.psp_id)
        assert (await self.send(taking)).kind == "PENDING"
        return taking

    def notices(self, event: str | None = None) -> list[Notice]:
        """What came, verified and read by our adapter."""
        read = [
            ADYEN.read_webhook(Webhook(one.headers, one.body), KEYS, datetime.now(UTC))
            for one in self.receiver.came
        ]
        found = [notice for one in read if not isinstance(one, WebhookRefused) for notice in one]
        return [notice for notice in found if event in {None, notice.event_type}]

    async def notice(self, event: str, count: int = 1) -> Notice:
        """The newest of this event, once there are so many of it."""
        await until(lambda: len(self.notices(event)) >= count, f"{count} times {event}", within_s=20)
        return self.notices(event)[-1]

    def moved(self) -> list[tuple[str, str, str, int | None]]:
        """Kind, the operation it was done for, the id of the payment, and the amount."""
        return [
            (one.kind, one.reference, one.intent_id, minor(one)) for one in read_movements(self.ledger_file)
        ]

    def may_move(self) -> list[str]:
        return [one.psp_id for one in read_open(self.ledger_file)]
