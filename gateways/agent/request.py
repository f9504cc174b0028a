"""A request to a gateway, as it is read from its record: a step to send, to repeat, to look up, or to end.

Invariant: its call to the PSP is made of the record alone, so that a repeat has the same bytes.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from aggregates.operation import CHARGE_ATTEMPTS, FIRST_STEP, How, Kind, payment_id_of
from commands import wording
from commands.fields import Amount, Currency, Id, Text, Token
from commands.messages import InvalidMessage
from commands.records import Record
from commands.samples import Segment
from gateways.agent.ports import ReturnUrlOf, StepId
from gateways.contract import Call, StoredCredential

STARTED: Final = "operation.started.v1"
FOLLOW_UP: Final = "operation.follow_up_requested.v1"


@dataclass(frozen=True, slots=True)
class Request:
    """The task of the agent for one step. `how` None: send it for the first time.

    `expires_at`: no try is sent later. `key_life_s`: as recorded when the operation started; None: it was
    not. `ends_unreached`: the step is closed where nobody could be reached, for another account waits for the
    proof. `segment`: whose health its outcome describes; empty: not known. `probe`: it was chosen to probe a
    half-open circuit. `owed`: AegisPay gives it back by itself. `without_effect`: it has had none, as far as
    its payment knows: its first send, or a repeat of its first step after one that reached nobody, or a PSP
    that was not available. `draw`: in [0, 1), the same whenever this record is read; see
    `circuit.holds_back`.
    """

    payment_id: UUID
    account: str
    how: How | None
    expires_at: datetime
    key_life_s: int | None
    ends_unreached: bool
    segment: str
    probe: bool
    call: Call
    owed: bool = False
    without_effect: bool = False
    draw: float = 0.0

    @property
    def step(self) -> StepId:
        """The step that the request is about."""
        return StepId(self.call.reference, self.call.step)

    def of_step(self, step: str) -> "Request":
        """The same request about another step of the operation."""
        return replace(self, call=replace(self.call, step=step))


class _StoredCredential(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    use: Literal["store", "reuse"]
    initiator: Literal["customer", "merchant"]
    customer_token: Token | None = None


def _or(default: Any, kind: Any) -> BeforeValidator:
    """Takes the default where a value is none of this kind."""
    adapter = TypeAdapter(kind)

    def checked(value: Any) -> Any:
        try:
            return adapter.validate_python(value)
        except ValidationError:
            return default

    return BeforeValidator(checked)


class _Event(BaseModel):
    """The fields of both events that the agent needs; an event may have more.

    A field with a default is missing in events of an earlier version, for which the default is right.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    operation_id: Id
    kind: Kind
    step: Literal["1", "2", "3", "4"]
    account: Id
    amount_minor: Amount
    currency: Currency
    payment_method: Token
    description: str | None = None
    statement_text: Text | None = None
    three_ds: bool = False
    stored_credential: _StoredCredential | None = None
    target_operation_id: Id | None = None
    target_psp_id: Token | None = None
    target_minor: Amount | None = None
    final: bool = False
    multicapture: bool = False
    overcapture_percent: int = 0
    psp_id: Token | None = None
    expires_at: AwareDatetime
    action_until: AwareDatetime | None = None
    key_life_s: int | None = None
    how: How | None = None
    follow_up: int | None = None
    returned: dict[str, str] | None = None
    ends_unreached: bool = False
    # Events of an earlier version have no `owed`: one of these two says it.
    duplicate_charge: bool = False
    timed: bool = False
    owed: bool = False
    # Neither may refuse a request: health is no reason for a payment to wait.
    segment: Annotated[str, _or("", Segment)] = ""
    probe: Annotated[bool, _or(default=False, kind=bool)] = False


_EVENT: Final = TypeAdapter(_Event)


def read(record: Record, return_url_of: ReturnUrlOf) -> Request:
    """Reads a record of a gateway's topic of requests. Raises `InvalidMessage`."""
    content = record.content()
    if record.header("ce_type") not in {STARTED, FOLLOW_UP}:
        raise InvalidMessage("type_unknown", "ce_type", "a gateway takes no requests of this type")
    if record.value is None:
        raise InvalidMessage("value_missing", None, "the record has no value")
    try:
        event = _EVENT.validate_json(content)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise InvalidMessage("field_invalid", path or None, wording.sentence(first)) from None
    _check_how(record.header("ce_type") == FOLLOW_UP, event)
    try:
        payment_id = payment_id_of(event.operation_id)
    except ValueError:
        raise InvalidMessage("field_invalid", "operation_id", "not an operation's id") from None
    # The window keeps one key's requests in order: under another key this one would run beside its payment's
    # others.
    if record.key != str(payment_id).encode():
        raise InvalidMessage("wrong_key", None, "the record's key is not the payment's id")
    return Request(
        payment_id=payment_id,
        account=event.account,
        how=event.how,
        expires_at=event.expires_at,
        key_life_s=event.key_life_s,
        ends_unreached=event.ends_unreached,
        segment=event.segment,
        probe=event.probe,
        call=_call(event, return_url_of),
        owed=event.owed or event.duplicate_charge or event.timed,
        without_effect=event.how is None or _is_repeat_without_effect(event),
        draw=_draw(record),
    )


def _is_repeat_without_effect(event: _Event) -> bool:
    # The payment numbers the follow-ups of a call that may have had an effect from 1. Later steps always go
    # on.
    return event.how == "repeat" and event.follow_up == 0 and event.step == FIRST_STEP


def _draw(record: Record) -> float:
    # `ce_id` names one event, so that a request that is given back draws anew each time that it comes.
    made = blake2b((record.header("ce_id") or "").encode(), digest_size=8).digest()
    return (int.from_bytes(made) >> 11) / 2**53


def _check_how(follows_up: bool, event: _Event) -> None:
    if follows_up and event.how is None:
        raise InvalidMessage("field_missing", "how", wording.REQUIRED)
    # Only an attempt waits for its customer, or holds money between two of its steps.
    if event.how in {"cancel", "release"} and event.kind not in CHARGE_ATTEMPTS:
        raise InvalidMessage("field_invalid", "how", "only an authorization or a sale can be cancelled")
    if event.how is None and event.step != FIRST_STEP:
        raise InvalidMessage("field_invalid", "step", "an operation starts with its first step")


def _call(event: _Event, return_url_of: ReturnUrlOf) -> Call:
    stored, return_url = event.stored_credential, None
    if event.kind in CHARGE_ATTEMPTS and event.action_until is not None:
        return_url = return_url_of(event.operation_id, event.action_until)
    return Call(
        reference=event.operation_id,
        step=event.step,
        kind=event.kind,
        amount_minor=event.amount_minor,
        currency=event.currency,
        payment_method=event.payment_method,
        description=event.description,
        statement_text=event.statement_text,
        three_ds=event.three_ds,
        stored_credential=(
            None if stored is None else StoredCredential(stored.use, stored.initiator, stored.customer_token)
        ),
        target_reference=event.target_operation_id,
        target_psp_id=event.target_psp_id,
        target_minor=event.target_minor,
        returned=event.returned or {},
        final=event.final,
        multicapture=event.multicapture,
        overcapture=event.overcapture_percent > 0,
        return_url=return_url,
        psp_id=event.psp_id,
    )
