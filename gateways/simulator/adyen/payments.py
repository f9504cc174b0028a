"""Payments at the simulator: authorised, refused, challenged or decided later. No I/O but the ledger.

A payment's status is Adyen's result, or `cancelled`, `closed` (nothing is left to capture) or `expired`.
"""

import hmac
import secrets
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.adyen import amounts
from gateways.adyen.codes import REFUSALS
from gateways.simulator.accounts import Accounts
from gateways.simulator.adyen import wire
from gateways.simulator.adyen.events import Events, Told
from gateways.simulator.adyen.scenarios import CARDS, SETTLES_AFTER_S, TOKENS, Scenario
from gateways.simulator.adyen.wire import GATEWAY
from gateways.simulator.faults import Do, Spent
from gateways.simulator.ledger import Ledger
from gateways.simulator.psp import Answer, Turn
from gateways.simulator.rows import Moved, Object

NOT_AUTHENTICATED: Final = "11"
_OTHER_MONEY: Final = 100


@dataclass(frozen=True, slots=True)
class Payments:
    ledger: Ledger
    accounts: Accounts
    events: Events
    spent: Spent

    def create(self, asked: wire.Pay, turn: Turn) -> Answer:
        scenario = asked.scenario
        if scenario.trouble == "io_exception":
            return wire.error(500, "905", "IOEXCEPTION_RECEIVED", "internal")
        one = self._asked(asked, turn)
        if one.status == "RedirectShopper":
            self.ledger.add(one)
            return Answer.json(200, self._shown(one, turn), about=one.id)
        if scenario.later:
            one = one._replace(status="Received", settles_at=turn.now + SETTLES_AFTER_S, may_move=True)
            self.ledger.add(one)
            return Answer.json(200, self._shown(one, turn), about=one.id)
        one = self._decided(self.ledger.add(one), turn.now)
        return Answer.json(200, self._shown(one, turn), about=one.id)

    def _asked(self, asked: wire.Pay, turn: Turn) -> Object:
        """Not yet decided. What its scenario says of this attempt stands in `ends` and `code`."""
        scenario = asked.scenario
        ends, code = scenario.ends, scenario.code
        spared = scenario.at_first and not self.accounts.is_first(turn.account)
        if spared or (
            scenario.declines is not None and not self.spent.take(asked.payment, scenario.declines)
        ):
            ends, code = "Authorised", None
        challenged = (scenario.asks or asked.three_ds) and not asked.by_merchant
        data = {
            "token": asked.token,
            "return_url": asked.return_url,
            "manual": asked.manual,
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
            "RedirectShopper" if challenged else "asked",
            asked.minor,
            asked.currency,
            turn.now,
            reference=asked.reference,
            capture_limit=asked.minor,
            data=orjson.dumps(data).decode(),
        )

    def _decided(self, one: Object, now: float) -> Object:
        data = data_of(one)
        if data["ends"] in {"Authorised", "PartiallyAuthorised"}:
            return self._authorised(one, data["ends"], now)
        if data["held"]:
            return self._authorised(one, "Error", now)
        code = data["code"] or NOT_AUTHENTICATED
        refused = self.ledger.change(one._replace(status=data["ends"], settles_at=None, may_move=False))
        self.events.tell(refused, Told("AUTHORISATION", one.id, None, one.minor, REFUSALS[code][0]), now)
        return refused

    def _authorised(self, one: Object, status: str, now: float) -> Object:
        """A hold lasts as long as the account's option says, else for ever. Without `manualCapture` it is taken at once."""
        minor = _half(one) if status == "PartiallyAuthorised" else one.minor
        account = self.accounts.named(GATEWAY, one.account)
        life_s = account.number("authorization_life_s") if account is not None else 0
        moved, captured = [Moved("authorized", one.id, one.reference, minor)], 0
        if not data_of(one)["manual"]:
            moved.append(Moved("captured", one.id, one.reference, minor))
            captured = minor
        held = one._replace(
            status=status,
            authorized=minor,
            capture_limit=minor,
            captured=captured,
            settles_at=now + life_s if life_s and not captured else None,
            may_move=False,
        )
        held = self.ledger.move(held, moved, now)
        self.events.tell(held, Told("AUTHORISATION", one.id, None, minor), now)
        return held

    def details(self, result: str, turn: Turn) -> Answer:
        psp_id, _, secret = result.partition("!")
        one = self.ledger.one(GATEWAY, psp_id)
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
        return Answer.json(200, self._shown(one, turn), about=one.id)

    def challenged(self, psp_id: str, page: str) -> Object | None:
        """None where there is no such page."""
        one = self.ledger.one(GATEWAY, psp_id)
        if one is None or one.kind != "payment":
            return None
        known = data_of(one)["page"]
        return one if known and hmac.compare_digest(page.encode(), known.encode()) else None

    def answer_the_page(self, one: Object, *, passed: bool) -> str:
        """Where the customer goes back to. The first answer counts."""
        data = data_of(one)
        if not data["verdict"]:
            data["verdict"] = "passed" if passed else "failed"
            with self.ledger.writing():
                self.ledger.change(one._replace(data=orjson.dumps(data).decode()))
        joint = "&" if "?" in data["return_url"] else "?"
        return f"{data['return_url']}{joint}redirectResult={one.id}%21{data['result']}"

    def known(self, psp_id: str, turn: Turn) -> Object:
        one = self.ledger.one(GATEWAY, psp_id)
        if one is None or one.account != turn.account.name or one.kind != "payment":
            raise wire.refused(422, "167", "Original pspReference required for this operation")
        return one

    def settle(self, one: Object, now: float) -> None:
        """What was received is decided; what is still held lapses."""
        if one.status == "Received":
            self._decided(one, now)
            return
        left = left_of(one)
        expired = one._replace(status="expired", settles_at=None)
        if left:
            self.ledger.move(expired, [Moved("released", one.id, one.reference, left)], now)
            self.events.tell(one, Told("EXPIRE", one.id, None, left), now)
        else:
            self.ledger.change(expired)

    def _shown(self, one: Object, turn: Turn) -> dict[str, Any]:
        data, result = data_of(one), one.status
        minor = one.authorized if result == "PartiallyAuthorised" else one.minor
        shown: dict[str, Any] = {
            "pspReference": one.id,
            "resultCode": result,
            "merchantReference": one.reference,
            "amount": about_other_money(minor, one.currency, turn.do),
        }
        if result == "RedirectShopper":
            url = f"{turn.origin}/3d-secure/{one.id}/{data['page']}"
            action = {"type": "redirect", "method": "GET", "url": url, "paymentMethodType": "scheme"}
            return shown | {"action": action}
        if result in {"Refused", "Cancelled", "Error"}:
            code = data["code"] or NOT_AUTHENTICATED
            return shown | {"refusalReason": REFUSALS[code][0], "refusalReasonCode": code}
        return shown


def data_of(one: Object) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(one.data)
    return data


def scenario_of(one: Object) -> Scenario:
    """What the payment's token makes of the calls after it."""
    return TOKENS.get(data_of(one)["token"], CARDS["4111111111111111"])


def left_of(one: Object) -> int:
    """What may still be captured or let go."""
    return one.authorized - one.captured if one.status in OPEN else 0


OPEN: Final = frozenset({"Authorised", "PartiallyAuthorised", "Error"})


def about_other_money(minor: int, currency: str, do: Do | None) -> dict[str, Any]:
    value = amounts.to_wire(minor, currency)
    if do == "wrong_amount":
        value += _OTHER_MONEY
    if do == "wrong_currency":
        currency = "USD" if currency == "EUR" else "EUR"
    return {"value": value, "currency": currency}


def _half(one: Object) -> int:
    """Of what Adyen can write."""
    unit = amounts.from_wire(1, one.currency) or 1
    return max(one.minor // 2 // unit * unit, unit)
