"""A shop's checkout and its back office, by Kafka or by HTTP; and a customer at the page of the bank."""

import asyncio
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final
from uuid import UUID

import aiohttp

from commands.client import ENDED, SETTLED, Client, NoAnswer, NotSettled, Refused
from commands.messages import Reply
from infra.shop_life import Life, Step

PATIENCE_S: Final = 60.0
_ASK_AGAIN_S: Final = 0.25
_PATHS: Final = {"capture": "captures", "void": "voids", "refund": "refunds"}


class Stopped(Exception):
    """A life that does not go on. Its text says how far it came."""


@dataclass(frozen=True, slots=True)
class Checkout:
    client: Client
    http: aiohttp.ClientSession

    async def serve(self, life: Life, *, by_http: bool) -> str:
        """The payment's status after the last step, or where it stopped before."""
        try:
            payment_id, status = await (self._by_http(life) if by_http else self._by_kafka(life))
            for number, step in enumerate(life.steps, 1):
                if step.verb == "challenge":
                    status = await self._challenged(payment_id, status)
                else:
                    key = f"{life.order.idempotency_key}-{number}"
                    change = self._change_by_http if by_http else self._change_by_kafka
                    status = await change(payment_id, step, key)
        except Stopped as why:
            return str(why)
        except Refused as refused:
            return f"refused: {refused.code}"
        except NoAnswer:
            return "no answer"
        except NotSettled as late:
            return f"still {late.status}"
        return status

    async def _by_kafka(self, life: Life) -> tuple[UUID, str]:
        reply = await self.client.pay(
            timeout_s=PATIENCE_S,
            idempotency_key=life.order.idempotency_key,
            capture=life.capture,
            **life.order.content,
        )
        assert reply.payment_id is not None, "an accepted reply names its payment"
        return reply.payment_id, str(reply.status)

    async def _by_http(self, life: Life) -> tuple[UUID, str]:
        headers = {"Idempotency-Key": life.order.idempotency_key, "Prefer": "wait=5"}
        body = life.order.content | {"capture": life.capture}
        payment = await self._post("/v1/payments", body, headers)
        payment_id = UUID(payment["payment_id"])
        shown = await self._shown(payment_id, SETTLED, payment)
        return payment_id, str(shown.get("status"))

    async def _change_by_kafka(self, payment_id: UUID, step: Step, key: str) -> str:
        match step.verb:
            case "capture":
                decided = await self.client.capture(
                    payment_id, idempotency_key=key, amount_minor=step.amount_minor
                )
            case "void":
                decided = await self.client.void(payment_id, idempotency_key=key)
            case _:
                decided = await self.client.refund(
                    payment_id, idempotency_key=key, amount_minor=step.amount_minor
                )
        return _approved(step, await self.client.wait(decided, PATIENCE_S))

    async def _change_by_http(self, payment_id: UUID, step: Step, key: str) -> str:
        headers = {"Idempotency-Key": key, "Prefer": "wait=5"}
        body = {} if step.amount_minor is None else {"amount_minor": step.amount_minor}
        until = time.monotonic() + PATIENCE_S
        while True:
            # The same key again: the command that it named is answered, not done twice.
            told = await self._post(f"/v1/payments/{payment_id}/{_PATHS[step.verb]}", body, headers)
            if told.get("operation_state") in ENDED:
                break
            if time.monotonic() > until:
                raise Stopped(f"the {step.verb} is still {told.get('operation_state')}")
        if told["operation_state"] != "APPROVED":
            raise Stopped(f"the {step.verb} ended as {told['operation_state']}")
        return str(told["status"])

    async def _challenged(self, payment_id: UUID, status: str) -> str:
        """As a browser does it: the bank's page, its button, and wherever that leads, which is back to the shop."""
        if status != "REQUIRES_ACTION":
            raise Stopped(f"no challenge: {status}")
        payment = await self._shown(payment_id, {"REQUIRES_ACTION"}, {})
        if not payment.get("action_url"):
            raise Stopped("a challenge without a page")
        # A session of its own: the bank must not get the shop's API key.
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as browser:
            status_code, came_back = await _pass(browser, payment["action_url"])
            if status_code != 200 or not came_back:
                raise Stopped(f"the way back from the challenge ended with HTTP {status_code}")
        shown = await self._shown(payment_id, SETTLED - {"REQUIRES_ACTION"}, {})
        return str(shown.get("status"))

    async def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        async with self.http.post(path, json=body, headers=headers) as answer:
            if answer.status not in {200, 201, 202}:
                raise Stopped(f"HTTP {answer.status} for {path.rpartition('/')[2]}")
            content: dict[str, Any] = await answer.json()
            return content

    async def _shown(
        self, payment_id: UUID, statuses: set[str] | frozenset[str], payment: dict[str, Any]
    ) -> dict[str, Any]:
        """As the query API shows it, once it is in one of these; or as it was when the patience ended."""
        until = time.monotonic() + PATIENCE_S
        while payment.get("status") not in statuses and time.monotonic() < until:
            async with self.http.get(f"/v1/payments/{payment_id}") as answer:
                # 404: the read model has not seen it yet.
                payment = payment | (await answer.json() if answer.status == 200 else {})
            if payment.get("status") not in statuses:
                await asyncio.sleep(_ASK_AGAIN_S)
        return payment


async def _pass(browser: aiohttp.ClientSession, url: str) -> tuple[int, bool]:
    """The challenge at this address, and on to wherever its answer leads: by a redirect, or by a form that a script
    would post. The last status, and whether it led anywhere."""
    async with browser.post(url, data={"result": "pass"}) as page:
        form = _posts_itself(await page.text()) if not page.history else None
        if form is None:
            return page.status, bool(page.history)
    async with browser.post(form[0], data=form[1]) as back:
        return back.status, True


class _Form(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "form":
            self.action = said.get("action")
        elif tag == "input" and said.get("name"):
            self.fields[str(said["name"])] = said.get("value") or ""


def _posts_itself(page: str) -> tuple[str, dict[str, str]] | None:
    form = _Form()
    form.feed(page)
    return None if form.action is None else (form.action, form.fields)


def _approved(step: Step, ended: Reply) -> str:
    if ended.operation_state != "APPROVED":
        raise Stopped(f"the {step.verb} ended as {ended.operation_state}")
    return str(ended.status)
