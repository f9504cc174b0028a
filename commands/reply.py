"""The message on `payments.replies`.

Part of the producers' client: it imports nothing else of AegisPay.
"""

from typing import Literal
from uuid import UUID

from pydantic import Field

from .fields import Message


class Reply(Message):
    """Tells the sender of `command_id`, on `payments.replies`, what became of the command.

    `decision`: the command was decided; a repeat of the command gets the same result again, beside the
    present state. `update`: the payment that this command created has since settled in another status, or is
    in doubt; or the operation that it started has ended. An update is sent once; after a crash the same one
    (command_id, version) may come again.
    """

    type: Literal["reply.v1"] = "reply.v1"
    kind: Literal["decision", "update"]
    command_id: UUID
    payment_id: UUID | None
    result: Literal["accepted", "refused"]
    code: str | None = Field(
        default=None,
        description="Why it was refused, e.g. idempotency_mismatch; a side effect of it, e.g. rest_released; after "
        "the end, the PSP's code or ours",
    )
    detail: str | None = Field(default=None, description="The same in words, ours or the PSP's")
    path: str | None = Field(default=None, description="The field at fault, dotted")
    amounts: dict[str, int] | None = Field(
        default=None,
        description="Minor units. Of a refusal: what was requested, what was done before, what is left. With "
        "rest_released: released_minor, what a partial capture releases at an account that captures once",
    )
    operation_id: str | None = Field(default=None, description="What the command started, if anything")
    operation_state: str | None = Field(default=None, description="The state of that operation")
    action_url: str | None = Field(
        default=None, description="Where the customer has to go, while status is REQUIRES_ACTION"
    )
    status: str | None = Field(default=None, description="The payment's status when this was sent")
    version: int | None = Field(default=None, description="The payment's version when this was sent")
    correlation_id: str | None = None
    fingerprint: str | None = Field(
        default=None,
        description="Hash of the request, in the decision on a command about a payment: two commands with one "
        "command_id and different content each get a decision",
    )
    hint: str | None = Field(
        default=None,
        description="What the sender should mend though the command was decided, e.g. `wrong_partition`: the record "
        "lies in another partition than murmur2 of its key gives, so that the order per payment is lost. Set the "
        "producer's partitioner (librdkafka: murmur2_random)",
    )
