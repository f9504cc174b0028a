"""Decides payments: authorised, refused, challenged, or decided later. Its only I/O is the ledger. A
payment's status is Adyen's `resultCode`, or `cancelled`, `closed` (nothing is left to capture) or `expired`.
"""

import hmac
import secrets
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.simulator.adyen import wire
from gateways.simulator.adyen.currencies import CURRENCIES
from gateways.simulator.adyen.events import Event, Events
from gateways.simulator.adyen.refusals import RAW, REFUSALS
from gateways.simulator.adyen.scenarios import CARDS, TOKENS, Scenario
from gateways.simulator.adyen.wire import GATEWAY
from gateways.simulator.core.faults import Do
from gateways.simulator.core.front import Front
from gateways.simulator.core.psp import Response, Turn
from gateways.simulator.core.rows import Moved, Object

NOT_AUTHENTICATED: Final = "11"
_OTHER_MONEY: Final = 100


@dataclass(frozen=True, slots=True)
class Payments:
    """The payments of every account at Adyen."""

    front: Front
    events: Events

    def create(self, params: wire.Pay, turn: Turn) -> Response:
        """Creates the payment with the result that its scenario gives, and stores its webhook unless it is
        decided later. IOEXCEPTION_RECEIVED is final: a 500 stored under the key."""
        scenario = params.scenario
        if scenario.test_error == "io_exception":
            return wire.error(500, "000", "IOEXCEPTION_RECEIVED", "internal")
        one = self._new(params, turn)
        if one.status == "RedirectShopper":
            self.front.ledger.add(one)
            return Response.json(200, self._shown(one, turn), about=one.id)
        if scenario.later:
            one = one._replace(
                status="Received", settles_at=turn.now + self.front.settles_after_s, may_move=True
            )
            self.front.ledger.add(one)
            return Response.json(200, self._shown(one, turn), about=one.id)
        one = self._decided(self.front.ledger.add(one), turn.now)
        return Response.json(200, self._shown(one, turn), about=one.id)

    def _new(self, params: wire.Pay, turn: Turn) -> Object:
        """The payment before it is decided. `ends` and `code` of its data hold what the scenario decides for
        this attempt."""
        scenario = params.scenario
        ends, code = scenario.ends, scenario.code
        if not self.front.declines(scenario.declines, params.payment, turn.account):
            ends, code = "Authorised", None
        challenged = (scenario.challenge or params.three_ds) and not params.by_merchant
        data = {
            "token": params.token,
            "return_url": params.return_url,
            "manual": params.manual,
            "ends": ends,
            "code": code,
            "held": scenario.held,
            "page": secrets.token_urlsafe(18) if challenged else "",
            "result": secrets.token_urlsafe(18) if challenged else "",
            "verdict": "",
        }
        return Object(
            GATEWAY,
            wire.psp_reference(turn.now),
            turn.account.name,
            "payment",
            "RedirectShopper" if challenged else "requested",
            params.mills,
            params.currency,
            turn.now,
            reference=params.reference,
            capture_limit=params.mills,
            data=orjson.dumps(data).decode(),
        )

    def _decided(self, one: Object, now: float) -> Object:
        data = data_of(one)
        if data["ends"] in {"Authorised", "PartiallyAuthorised"}:
            return self._authorised(one, data["ends"], now)
        if data["held"]:
            return self._authorised(one, data["ends"], now)
        code = data["code"] or NOT_AUTHENTICATED
        refused = self.front.ledger.change(one._replace(status=data["ends"], settles_at=None, may_move=False))
        self.events.store(refused, Event("AUTHORISATION", one.id, None, one.mills, REFUSALS[code]), now)
        return refused

    def _authorised(self, one: Object, status: str, now: float) -> Object:
        """Holds the money as long as the account's option `authorization_life_s` sets, else for ever; without
        `manualCapture` it captures at once."""
        mills = _half(one) if status == "PartiallyAuthorised" else one.mills
        account = self.front.accounts.named(GATEWAY, one.account)
        life_s = account.number("authorization_life_s") if account is not None else 0
        moved, captured = [Moved("authorized", one.id, one.reference, mills)], 0
        if not data_of(one)["manual"]:
            moved.append(Moved("captured", one.id, one.reference, mills))
            captured = mills
        held = one._replace(
            status=status,
            authorized=mills,
            capture_limit=mills,
            captured=captured,
            settles_at=now + life_s if life_s and not captured else None,
            may_move=False,
        )
        held = self.front.ledger.move(held, moved, now)
        self.events.store(held, Event("AUTHORISATION", one.id, None, mills), now)
        return held

    def details(self, result: str, turn: Turn) -> Response:
        """Decides a challenged payment after the customer came back. Raises `Refusal` (422) for a result that
        is wrong or was used."""
        psp_id, _, secret = result.partition("!")
        one = self.front.ledger.one(GATEWAY, psp_id)
        if one is None or one.account != turn.account.name or one.kind != "payment":
            raise wire.refused(422, "14_003", "Invalid details")
        data = data_of(one)
        if not data["result"] or not hmac.compare_digest(secret.encode(), data["result"].encode()):
            raise wire.refused(422, "14_003", "Invalid details")
        if one.status != "RedirectShopper":
            raise wire.refused(422, "704", "request already processed or in progress")
        if data["verdict"] != "passed":
            changed = data | {"ends": "Refused", "code": NOT_AUTHENTICATED}
            one = one._replace(data=orjson.dumps(changed).decode())
        one = self._decided(one, turn.now)
        return Response.json(200, self._shown(one, turn), about=one.id)

    def challenged(self, psp_id: str, page: str) -> Object | None:
        """The payment whose 3-D Secure page this is, else None."""
        one = self.front.ledger.one(GATEWAY, psp_id)
        if one is None or one.kind != "payment":
            return None
        known = data_of(one)["page"]
        return one if known and hmac.compare_digest(page.encode(), known.encode()) else None

    def complete_challenge(self, one: Object, *, passed: bool) -> str:
        """Takes the customer's choice, the first of them, and returns the address to go back to."""
        data = data_of(one)
        if not data["verdict"]:
            data["verdict"] = "passed" if passed else "failed"
            with self.front.ledger.writing():
                self.front.ledger.change(one._replace(data=orjson.dumps(data).decode()))
        joint = "&" if "?" in data["return_url"] else "?"
        return f"{data['return_url']}{joint}redirectResult={one.id}%21{data['result']}"

    def known(self, psp_id: str, turn: Turn) -> Object:
        """The account's payment. Raises `Refusal` (422) where there is none."""
        one = self.front.ledger.one(GATEWAY, psp_id)
        if one is None or one.account != turn.account.name or one.kind != "payment":
            raise wire.refused(422, "167", "Original pspReference required for this operation")
        return one

    def settle(self, one: Object, now: float) -> None:
        """Decides a payment that was received, or expires a hold."""
        if one.status == "Received":
            self._decided(one, now)
            return
        left = left_of(one)
        expired = one._replace(status="expired", settles_at=None)
        if left:
            self.front.ledger.move(expired, [Moved("released", one.id, one.reference, left)], now)
            self.events.store(one, Event("EXPIRE", one.id, None, left), now)
        else:
            self.front.ledger.change(expired)

    def _shown(self, one: Object, turn: Turn) -> dict[str, Any]:
        data, result = data_of(one), one.status
        mills = one.authorized if result == "PartiallyAuthorised" else one.mills
        shown: dict[str, Any] = {
            "pspReference": one.id,
            "resultCode": result,
            "merchantReference": one.reference,
            "amount": about_other_money(mills, one.currency, turn.do),
        }
        if result == "RedirectShopper":
            url = f"{turn.origin}/3d-secure/{one.id}/{data['page']}"
            action = {"type": "redirect", "method": "GET", "url": url, "paymentMethodType": "scheme"}
            return shown | {"action": action}
        if result in {"Refused", "Cancelled", "Error"}:
            code = data["code"] or NOT_AUTHENTICATED
            raw = {"additionalData": {"refusalReasonRaw": RAW[code]}} if code in RAW else {}
            return shown | {"refusalReason": REFUSALS[code], "refusalReasonCode": code} | raw
        return shown


def data_of(one: Object) -> dict[str, Any]:
    """The JSON that is kept beside an object's columns."""
    data: dict[str, Any] = orjson.loads(one.data)
    return data


def scenario_of(one: Object) -> Scenario:
    """The scenario that the payment's token chooses for the calls after it."""
    return TOKENS.get(data_of(one)["token"], CARDS["4111111111111111"])


def left_of(one: Object) -> int:
    """Returns how much may still be captured or released, in mills."""
    return one.authorized - one.captured if one.status in OPEN else 0


OPEN: Final = frozenset({"Authorised", "PartiallyAuthorised", "Error", "Refused"})
"""The statuses in which money may be held: an Error or a refusal may hold some in spite of its name."""


def about_other_money(mills: int, currency: str, do: Do | None) -> dict[str, Any]:
    """An amount as Adyen writes it; with the fault `wrong_amount` or `wrong_currency`, another one."""
    value = CURRENCIES.integer(mills, currency)
    if do == "wrong_amount":
        value += _OTHER_MONEY
    if do == "wrong_currency":
        currency = "USD" if currency == "EUR" else "EUR"
    return {"value": value, "currency": currency}


def _half(one: Object) -> int:
    """Returns half of the amount, in mills, rounded down to what Adyen can write."""
    unit = CURRENCIES.unit(one.currency)
    return max(one.mills // 2 // unit * unit, unit)
