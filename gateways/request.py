"""A request to a gateway, as it is read from its record: a step to send, to repeat, to look up, or to end."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from aggregates.operation import payment_id_of
from commands.messages import Amount, Currency, Id, InvalidMessage, Text, Token
from commands.records import Record
from gateways.contract import FIRST_STEP, Call, StoredCredential

STARTED: Final = "operation.started.v1"
ASKED: Final = "operation.asked.v1"


class _StoredCredential(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    use: Literal["store", "reuse"]
    initiator: Literal["customer", "merchant"]
    customer_token: Token | None = None


class Request(BaseModel):
    """What the agent needs of `operation.started.v1` and `operation.asked.v1`; an event may have more fields.

    What may be absent is what an event of an earlier version does not have, and means what that version did.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    operation_id: Id
    kind: Literal["authorize", "sale", "capture", "void", "refund"]
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
    how: Literal["continue", "repeat", "query", "cancel", "confirm"] | None = None
    returned: dict[str, str] | None = None

    @property
    def taking(self) -> bool:
        """An attempt at the payment itself, which may meet a challenge."""
        return self.kind in {"authorize", "sale"}

    def call(self, *, step: str, first_try_at: datetime | None = None, return_url: str | None = None) -> Call:
        stored = self.stored_credential
        return Call(
            reference=self.operation_id,
            step=step,
            kind=self.kind,
            amount_minor=self.amount_minor,
            currency=self.currency,
            payment_method=self.payment_method,
            description=self.description,
            statement_text=self.statement_text,
            three_ds=self.three_ds,
            stored_credential=(
                None
                if stored is None
                else StoredCredential(stored.use, stored.initiator, stored.customer_token)
            ),
            target_reference=self.target_operation_id,
            target_psp_id=self.target_psp_id,
            target_minor=self.target_minor,
            returned=self.returned or {},
            final=self.final,
            multicapture=self.multicapture,
            overcapture=self.overcapture_percent > 0,
            return_url=return_url,
            psp_id=self.psp_id,
            first_try_at=first_try_at,
        )


_REQUEST: Final = TypeAdapter(Request)


def read(record: Record) -> tuple[Request, UUID]:
    """And the payment's id. Raises `InvalidMessage`."""
    if record.header("ce_type") not in {STARTED, ASKED}:
        raise InvalidMessage("type_unknown", "ce_type", "a gateway takes no requests of this type")
    if record.value is None:
        raise InvalidMessage("value_missing", None, "the record has no value")
    try:
        request = _REQUEST.validate_json(record.value)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise InvalidMessage("field_invalid", path or None, f"not valid here ({first['type']})") from None
    _check_how(record.header("ce_type") == ASKED, request)
    try:
        payment_id = payment_id_of(request.operation_id)
    except ValueError:
        raise InvalidMessage("field_invalid", "operation_id", "not an operation's id") from None
    if record.key != str(payment_id).encode():
        raise InvalidMessage("wrong_key", None, "the record's key is not the payment's id")
    return request, payment_id


def _check_how(asked: bool, request: Request) -> None:
    if asked and request.how is None:
        raise InvalidMessage("field_missing", "how", "this field is required")
    if request.how == "cancel" and not request.taking:
        raise InvalidMessage("field_invalid", "how", "only an authorize or a sale can be cancelled")
    if request.how is None and request.step != FIRST_STEP:
        raise InvalidMessage("field_invalid", "step", "an operation starts with its first step")
