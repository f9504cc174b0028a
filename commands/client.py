"""The producers' client: it sends payment commands to Kafka and returns the replies to them.

Invariant: whatever fails here, sending the same idempotency key with the same content again is safe.
Published as `aegispay_client` with the files that pyproject.toml lists; it imports nothing else of AegisPay.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Literal, Self, TypedDict, Unpack
from uuid import UUID

import orjson

from . import wording
from .card_data import holds_card_data
from .connection import ClientError, Connection, NoReply, NotSettled, Refused
from .ids import command_id, payment_id
from .messages import SENSITIVE, CreatePayment, InvalidMessage, MerchantCommand
from .parsing import parse_command
from .reply import Reply

__all__ = [
    "ENDED",
    "SETTLED",
    "Client",
    "ClientError",
    "NoReply",
    "NotSettled",
    "Refused",
    "Tracing",
    "is_end",
]

SETTLED: Final = frozenset(
    {
        "REJECTED",
        "IN_REVIEW",
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
"""Statuses of a payment in which no outcome is awaited: what follows is up to the merchant, who may have to
review it, the customer, an authorization's end, or news of the PSP such as a dispute. IN_DOUBT is not one:
status queries go on."""
ENDED: Final = frozenset(
    {"APPROVED", "DECLINED_SOFT", "DECLINED_HARD", "NOT_SENT", "PROVEN_ABSENT", "EXPIRED"}
)
"""States of a capture, void or refund that has ended; it was executed only if it is APPROVED."""


class Tracing(TypedDict, total=False):
    """Headers of a command. `correlation_id` goes into every event, log and PSP call; `traceparent` is the
    W3C trace context."""

    correlation_id: str
    traceparent: str


class Client:
    """Sends one merchant's commands. A process needs one; any number of its tasks may use it at once.

    `bootstrap`: Kafka's addresses, host:port, with commas. `kafka`: further settings of aiokafka for both
    connections, e.g. security_protocol and ssl_context. `reply_timeout_s` bounds each command, from its send
    to the decision on it.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        merchant_id: str,
        topic_prefix: str = "",
        reply_timeout_s: float = 10.0,
        kafka: Mapping[str, Any] | None = None,
    ) -> None:
        self._merchant_id = merchant_id
        self._kafka = Connection(bootstrap, topic_prefix, reply_timeout_s, kafka or {})

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
        payment_method: str | None = None,
        payment_methods: Mapping[str, str] | None = None,
        capture: Literal["automatic", "manual"] = "automatic",
        customer_id: str | None = None,
        country: str | None = None,
        method: str | None = None,
        card: Mapping[str, str] | None = None,
        description: str | None = None,
        statement_text: str | None = None,
        stored_credential: Mapping[str, str | None] | None = None,
        return_page: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expires_in: timedelta = timedelta(minutes=15),
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """Creates a payment. Returns once it is decided; the money moves after that (`wait_settled`). Raises
        `Refused`, `NoReply`.

        One key names one payment for ever: a repeat returns that payment's present status. `payment_method`
        is a PSP's token, or `payment_methods` has one for each PSP. AegisPay sends no call that moves money
        later than `expires_in` from now. `card`, `stored_credential`: see `cards`. `return_page`: your page
        for a customer who comes back from a challenge.
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
            "payment_methods": payment_methods and dict(payment_methods),
            "stored_credential": stored_credential and dict(stored_credential),
            "customer_id": customer_id,
            "country": country,
            "method": method,
            "card": card and dict(card),
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
        """Captures `amount_minor`, or all that is left; `final` releases what is then left.

        Like every method below it returns once AegisPay has decided, and `wait` returns the end; a repeat
        with the same key gets the first decision. Raises `Refused`, `NoReply`.
        """
        content = {"amount_minor": amount_minor, "final": final}
        return await self._change(payment, "capture_payment", idempotency_key, content, tracing)

    async def void(self, payment: UUID, *, idempotency_key: str, **tracing: Unpack[Tracing]) -> Reply:
        """Releases the amount that is authorized and not captured. Raises `Refused`, `NoReply`."""
        return await self._change(payment, "void_payment", idempotency_key, {}, tracing)

    async def refund(
        self,
        payment: UUID,
        *,
        idempotency_key: str,
        amount_minor: int | None = None,
        reason: str | None = None,
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """Refunds `amount_minor`, or all that is captured and not refunded yet. Raises `Refused`,
        `NoReply`."""
        content = {"amount_minor": amount_minor, "reason": reason}
        return await self._change(payment, "refund_payment", idempotency_key, content, tracing)

    async def cancel(self, payment: UUID, *, idempotency_key: str, **tracing: Unpack[Tracing]) -> Reply:
        """Cancels the payment, so that nothing is taken; refused once anything was captured. Raises
        `Refused`, `NoReply`."""
        return await self._change(payment, "cancel_payment", idempotency_key, {}, tracing)

    async def complete_action(
        self,
        payment: UUID,
        *,
        idempotency_key: str,
        operation_id: str | None = None,
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """Lets AegisPay query the PSP once the customer is back from a challenge or a redirect.
        `operation_id`: None for the newest one that sent the customer away. Raises `Refused`, `NoReply`."""
        content = {"operation_id": operation_id}
        return await self._change(payment, "complete_action", idempotency_key, content, tracing)

    async def retry_status_query(
        self,
        payment: UUID,
        *,
        idempotency_key: str,
        operation_id: str | None = None,
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """Lets AegisPay query the PSP now, ahead of its schedule. `operation_id`: None for all operations
        without an outcome. Raises `Refused`, `NoReply`."""
        content = {"operation_id": operation_id}
        return await self._change(payment, "retry_status_query", idempotency_key, content, tracing)

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
        psp_id: str | None = None,
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """Records an operator's decision about an operation in doubt. `who`: the operator. `amount_minor`:
        the amount that the PSP executed, if not the requested one. `psp_id`: the PSP's id of the operation
        that is meant, if the PSP executed it twice. Raises `Refused`, `NoReply`."""
        content = {
            "operation_id": operation_id,
            "decision": decision,
            "amount_minor": amount_minor,
            "psp_id": psp_id,
            "evidence": evidence,
            "who": who,
        }
        return await self._change(payment, "resolve_payment", idempotency_key, content, tracing)

    async def resolve_dispute(
        self,
        payment: UUID,
        *,
        idempotency_key: str,
        dispute_id: str,
        decision: Literal["opened", "won", "lost", "closed"],
        evidence: str,
        who: str,
        amount_minor: int | None = None,
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """Records an operator's decision on a dispute; a later report of the PSP replaces it. `amount_minor`:
        what the bank took, in the payment's currency. Raises `Refused`, `NoReply`."""
        content = {
            "dispute_id": dispute_id,
            "decision": decision,
            "amount_minor": amount_minor,
            "evidence": evidence,
            "who": who,
        }
        return await self._change(payment, "resolve_dispute", idempotency_key, content, tracing)

    async def review(
        self,
        payment: UUID,
        *,
        idempotency_key: str,
        decision: Literal["allow", "deny"],
        evidence: str,
        who: str,
        **tracing: Unpack[Tracing],
    ) -> Reply:
        """Decides on a payment that a fraud hook holds (IN_REVIEW). `who`: the person. Raises `Refused`,
        `NoReply`."""
        content = {"decision": decision, "evidence": evidence, "who": who}
        return await self._change(payment, "review_payment", idempotency_key, content, tracing)

    async def wait_settled(self, reply: Reply, timeout_s: float = 30.0) -> Reply:
        """Returns the reply with a status of `SETTLED`. Raises `NotSettled` after `timeout_s`, and
        `NoReply`."""
        return await self._kafka.until(reply, timeout_s, lambda later: later.status in SETTLED)

    async def wait(self, reply: Reply, timeout_s: float = 30.0) -> Reply:
        """Returns the reply that ends what the command of `reply` started, see `is_end`. Raises `NotSettled`
        after `timeout_s`, and `NoReply`."""
        return await self._kafka.until(reply, timeout_s, lambda later: is_end(reply, later))

    async def pay(self, *, timeout_s: float = 30.0, **create: Any) -> Reply:
        """Creates a payment and waits until it has settled. `create`: the arguments of `create_payment`.
        Raises what it and `wait_settled` raise."""
        return await self.wait_settled(await self.create_payment(**create), timeout_s)

    async def _change(
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
        for name, value in tracing.items():
            if holds_card_data(str(value)):
                raise Refused(SENSITIVE, name, "looks like a card number or a security code", None)
        headers = [(name, str(value).encode()) for name, value in tracing.items()]
        reply = await self._kafka.send(command, raw, headers)
        if reply.result == "refused":
            path, detail = reply.path, reply.detail
            # The caller gave a key, from which the command's id follows.
            if (reply.code, path) == ("idempotency_mismatch", "command_id"):
                path, detail = "idempotency_key", wording.KEY_OF_ANOTHER_CHANGE
            raise Refused(reply.code or "refused", path, detail, reply)
        return reply


def is_end(decision: Reply, reply: Reply) -> bool:
    """True if `reply` ends what the accepted command of `decision` started: a capture, void or refund is in
    one of `ENDED`; anything else ends when the payment is in one of `SETTLED` and waits for nobody."""
    kind = (decision.operation_id or "").partition("-")[2][:1]
    if kind in {"c", "v", "r"}:
        return reply.command_id == decision.command_id and reply.operation_state in ENDED
    return reply.status in SETTLED - {"IN_REVIEW", "REQUIRES_ACTION"}
