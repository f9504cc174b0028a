"""The producers' client: payment commands to Kafka, and the replies to them.

Invariant: whatever fails here, sending the same idempotency key with the same content again is safe.
Published as `aegispay_client` with conversation.py, messages.py and sensitive.py; it imports nothing else of AegisPay.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Literal, Self, TypedDict, Unpack
from uuid import UUID

import orjson

from .conversation import ClientError, Conversation, NoAnswer, NotSettled, Refused
from .messages import (
    CreatePayment,
    InvalidMessage,
    MerchantCommand,
    Reply,
    command_id,
    parse_command,
    payment_id,
)

__all__ = [
    "ENDED",
    "SETTLED",
    "Client",
    "ClientError",
    "NoAnswer",
    "NotSettled",
    "Refused",
    "Tracing",
    "is_end",
]

SETTLED: Final = frozenset(
    {
        "REJECTED",
        "REQUIRES_ACTION",
        "AUTHORIZED",
        "PARTIALLY_CAPTURED",
        "CAPTURED",
        "PARTIALLY_REFUNDED",
        "REFUNDED",
        "VOIDED",
        "EXPIRED",
        "FAILED",
        "DISPUTED",
    }
)
"""Nothing more happens to such a payment by itself. IN_DOUBT is not among them: the PSP is still being asked."""
ENDED: Final = frozenset(
    {"APPROVED", "DECLINED_SOFT", "DECLINED_HARD", "NOT_SENT", "PROVEN_ABSENT", "EXPIRED"}
)
"""States of a capture, void or refund that has come to its end; executed only where it is APPROVED."""


class Tracing(TypedDict, total=False):
    """`correlation_id` is in every event, log and PSP call; `traceparent` is W3C trace context."""

    correlation_id: str
    traceparent: str


class Client:
    """One per process and merchant; used by any number of tasks at once.

    `kafka`: further settings of aiokafka for both connections, e.g. security_protocol and ssl_context.
    `answer_timeout_s` bounds every command, from its send to its answer.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        merchant_id: str,
        topic_prefix: str = "",
        answer_timeout_s: float = 10.0,
        kafka: Mapping[str, Any] | None = None,
    ) -> None:
        self._merchant_id = merchant_id
        self._kafka = Conversation(bootstrap, topic_prefix, answer_timeout_s, kafka or {})

    async def __aenter__(self) -> Self:
        await self._kafka.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._kafka.stop()

    async def create_payment(
        self,
        *,
        idempotency_key: str,
        amount_minor: int,
        currency: str,
        payment_method: str,
        capture: Literal["automatic", "manual"] = "automatic",
        customer_id: str | None = None,
        country: str | None = None,
        description: str | None = None,
        statement_text: str | None = None,
        stored_credential: Mapping[str, str | None] | None = None,
        return_page: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expires_in: timedelta = timedelta(minutes=15),
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """Returns once it is decided; the money moves after that (`wait_settled`). Raises `Refused`, `NoAnswer`.

        One key names one payment for ever: a repeat is answered with how that payment stands. `payment_method` is
        a PSP's token. No call that moves money is sent later than `expires_in` from now. `stored_credential`: see
        `messages.StoredCredential`. `return_page`: yours, for a customer who comes back from a challenge.
        """
        command = uuid.uuid4()
        content = {
            "type": "create_payment.v1",
            "command_id": command,
            "payment_id": payment_id(self._merchant_id, idempotency_key),
            "merchant_id": self._merchant_id,
            "idempotency_key": idempotency_key,
            "amount_minor": amount_minor,
            "currency": currency,
            "capture": capture,
            "payment_method": payment_method,
            "stored_credential": stored_credential and dict(stored_credential),
            "customer_id": customer_id,
            "country": country,
            "description": description,
            "statement_text": statement_text,
            "return_page": return_page,
            "metadata": dict(metadata or {}),
            "expires_at": datetime.now(UTC) + expires_in,
        }
        return await self._command(content, Tracing(correlation_id=str(command)) | tracing)

    async def capture(
        self,
        payment: UUID,
        *,
        idempotency_key: str,
        amount_minor: int | None = None,
        final: bool = False,
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """All that is left, or `amount_minor` of it; `final` releases the rest. As of every method below: returns
        once it is decided, and `wait` tells how it ended; a repeat with the same key is answered as the first was;
        raises `Refused`, `NoAnswer`."""
        content = {"amount_minor": amount_minor, "final": final}
        return await self._about(payment, "capture_payment", idempotency_key, content, tracing)

    async def void(self, payment: UUID, *, idempotency_key: str, **tracing: Unpack[Tracing]) -> Reply:
        """Releases what is authorized and not captured."""
        return await self._about(payment, "void_payment", idempotency_key, {}, tracing)

    async def refund(
        self,
        payment: UUID,
        *,
        idempotency_key: str,
        amount_minor: int | None = None,
        reason: str | None = None,
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """All that was captured and is not given back yet, or `amount_minor` of it."""
        content = {"amount_minor": amount_minor, "reason": reason}
        return await self._about(payment, "refund_payment", idempotency_key, content, tracing)

    async def cancel(self, payment: UUID, *, idempotency_key: str, **tracing: Unpack[Tracing]) -> Reply:
        """Nothing is to be taken: refused once something was captured."""
        return await self._about(payment, "cancel_payment", idempotency_key, {}, tracing)

    async def complete_action(
        self,
        payment: UUID,
        *,
        idempotency_key: str,
        operation_id: str | None = None,
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """The customer came back from a challenge or a redirect: the PSP is asked how it went."""
        content = {"operation_id": operation_id}
        return await self._about(payment, "complete_action", idempotency_key, content, tracing)

    async def retry_status_query(
        self,
        payment: UUID,
        *,
        idempotency_key: str,
        operation_id: str | None = None,
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """The PSP is asked now, without waiting for the schedule, about one operation or all that have no outcome."""
        content = {"operation_id": operation_id}
        return await self._about(payment, "retry_status_query", idempotency_key, content, tracing)

    async def resolve(
        self,
        payment: UUID,
        *,
        idempotency_key: str,
        operation_id: str,
        decision: Literal["charged", "not_charged"],
        evidence: str,
        who: str,
        amount_minor: int | None = None,
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """A person's decision, recorded with `who` and what it rests on, about an operation in doubt."""
        content = {
            "operation_id": operation_id,
            "decision": decision,
            "amount_minor": amount_minor,
            "evidence": evidence,
            "who": who,
        }
        return await self._about(payment, "resolve_payment", idempotency_key, content, tracing)

    async def wait_settled(self, reply: Reply, timeout_s: float = 30.0) -> Reply:
        """The reply that says where the payment came to rest: one of `SETTLED`. Raises `NotSettled`, `NoAnswer`."""
        return await self._kafka.until(reply, timeout_s, lambda news: news.status in SETTLED)

    async def wait(self, reply: Reply, timeout_s: float = 30.0) -> Reply:
        """The reply that says how it ended what the command started: see `is_end`. Raises `NotSettled`, `NoAnswer`."""
        return await self._kafka.until(reply, timeout_s, lambda news: is_end(reply, news))

    async def pay(self, *, timeout_s: float = 30.0, **create: Any) -> Reply:
        """`create_payment`, which takes `create`, and `wait_settled`."""
        return await self.wait_settled(await self.create_payment(**create), timeout_s)

    async def _about(
        self, payment: UUID, kind: str, idempotency_key: str, content: dict[str, Any], tracing: Tracing
    ) -> Reply:
        try:
            command = command_id(self._merchant_id, payment, idempotency_key, kind)
        except InvalidMessage as invalid:
            raise Refused(invalid.code, invalid.path, invalid.detail, None) from None
        ours = {
            "type": f"{kind}.v1",
            "command_id": command,
            "payment_id": payment,
            "merchant_id": self._merchant_id,
        }
        return await self._command(ours | content, tracing)

    async def _command(self, content: Mapping[str, Any], tracing: Tracing) -> Reply:
        raw = orjson.dumps(content)
        try:
            command = parse_command(raw)
        except InvalidMessage as invalid:
            raise Refused(invalid.code, invalid.path, invalid.detail, None) from None
        assert isinstance(command, CreatePayment | MerchantCommand)
        headers = [(name, str(value).encode()) for name, value in tracing.items()]
        reply = await self._kafka.ask(command, raw, headers)
        if reply.result == "refused":
            raise Refused(reply.code or "refused", reply.path, reply.detail, reply)
        return reply


def is_end(answer: Reply, news: Reply) -> bool:
    """Whether `news` tells how it ended what the accepted command of `answer` started: a capture, void or refund is
    in one of `ENDED`; otherwise the payment is in one of `SETTLED` and waits for no customer."""
    kind = (answer.operation_id or "").partition("-")[2][:1]
    if kind in {"c", "v", "r"}:
        return news.command_id == answer.command_id and news.operation_state in ENDED
    return news.status in SETTLED - {"REQUIRES_ACTION"}
