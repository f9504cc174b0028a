"""Changes an existing payment by HTTP: captures, refunds and the rest, as the same commands that Kafka takes.

Invariant: the same Idempotency-Key for the same kind of change of the same payment is one command, however
often it is sent; with other content it is refused.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from commands.client import is_end
from commands.ids import command_id
from commands.messages import (
    CancelPayment,
    CapturePayment,
    CompleteAction,
    InvalidMessage,
    MerchantCommand,
    RefundPayment,
    ResolveDispute,
    ResolvePayment,
    RetryStatusQuery,
    ReviewPayment,
    VoidPayment,
)
from commands.reply import Reply
from commands.reply_stream import PendingReply
from infra.api import examples, openapi, reads, schemas
from infra.api.auth import WHO_MAX, Principal
from infra.api.deps import (
    accepted,
    allowed,
    by_deadline,
    command_of,
    context_of,
    idempotency_key,
    json_body,
    json_response,
    preferred_wait_s,
    refusal,
    send,
    url_of,
)
from infra.api.problems import Problem, payment_not_found
from infra.postgres.api_keys import Scope
from projections import history

router = APIRouter(prefix="/v1", tags=["payments"])

_DECIDED_WITHIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Change:
    """One kind of change, and its route. `refusals`: the problem codes of this kind alone, for OpenAPI."""

    path: str
    operation: str  # the operation id in the OpenAPI document
    model: type[MerchantCommand]
    scope: Scope
    summary: str
    example: Mapping[str, Any]
    refusals: tuple[str, ...]


_OPERATION: Final = {"operation_id": examples.OPERATION_ID}
_CHANGES: Final = (
    _Change(
        "captures",
        "capturePayment",
        CapturePayment,
        "payments:write",
        "Capture an authorized payment: all that is left, or a part",
        {"amount_minor": 500, "final": False},
        (
            "not_authorized",
            "nothing_to_capture",
            "capture_in_flight",
            "void_in_flight",
            "authorization_expired",
            "capture_exceeds_authorization",
            "partial_capture_not_available",
            "payment_frozen",
        ),
    ),
    _Change(
        "voids",
        "voidPayment",
        VoidPayment,
        "payments:write",
        "Release what is authorized and not yet captured",
        {},
        (
            "not_authorized",
            "nothing_to_void",
            "capture_in_flight",
            "void_in_flight",
            "authorization_expired",
            "void_not_available",
            "payment_frozen",
        ),
    ),
    _Change(
        "refunds",
        "refundPayment",
        RefundPayment,
        "refunds:write",
        "Refund a captured payment: all that is left, or a part",
        {"amount_minor": 300, "reason": "a shoe came back"},
        ("nothing_captured", "refund_exceeds_captured", "payment_frozen"),
    ),
    _Change(
        "cancel",
        "cancelPayment",
        CancelPayment,
        "payments:write",
        "Cancel the payment: end what is in progress, release what is authorized",
        {},
        (
            "already_captured",
            "already_canceled",
            "nothing_to_cancel",
            "void_in_flight",
            "authorization_expired",
            "void_not_available",
            "payment_frozen",
        ),
    ),
    _Change(
        "complete-action",
        "completeAction",
        CompleteAction,
        "payments:write",
        "The customer came back from a challenge: query the PSP for its outcome",
        _OPERATION,
        ("no_action_required", "returned_too_often"),
    ),
    _Change(
        "resolve",
        "resolvePayment",
        ResolvePayment,
        "doubt:resolve",
        "An operator's decision about an operation in doubt; recorded with the API key's id and the name given",
        _OPERATION | {"decision": "charged", "evidence": "charge ch_3N in the PSP's dashboard", "who": "Kim"},
        (
            "not_in_doubt",
            "operation_unknown",
            "not_queried_yet",
            "amount_not_possible",
            "operation_in_use",
            "attempt_in_flight",
            "still_to_be_given_back",
            "executed_twice",
        ),
    ),
    _Change(
        "resolve-dispute",
        "resolveDispute",
        ResolveDispute,
        "doubt:resolve",
        "An operator's decision about a dispute; recorded with the API key's id and the name given",
        {
            "dispute_id": "PP-D-4012",
            "decision": "won",
            "evidence": "case PP-D-4012 in PayPal's resolution centre",
            "who": "Kim",
        },
        ("dispute_unknown", "amount_missing", "amount_not_possible"),
    ),
    _Change(
        "review",
        "reviewPayment",
        ReviewPayment,
        "payments:review",
        "A person's decision on a payment that a fraud hook holds; recorded with the API key's id and the name given",
        {"decision": "allow", "evidence": "the customer confirmed the order, ticket 812", "who": "Kim"},
        ("not_held", "review_too_late", "payment_frozen"),
    ),
    _Change(
        "status-queries",
        "queryStatus",
        RetryStatusQuery,
        "payments:write",
        "Query the PSP now, without waiting for the schedule",
        _OPERATION,
        ("nothing_in_doubt", "queried_just_now", "webhook_only"),
    ),
)


def _route(change: _Change) -> Callable[..., Any]:
    async def change_payment(
        request: Request,
        payment_id: reads.PaymentId,
        principal: Annotated[Principal, Depends(allowed(change.scope))],
    ) -> Response:
        return await _send_change(request, change, payment_id, principal)

    return change_payment


for _change in _CHANGES:
    router.add_api_route(
        f"/payments/{{payment_id}}/{_change.path}",
        _route(_change),
        methods=["POST"],
        name=_change.path,
        operation_id=_change.operation,
        summary=_change.summary,
        description=f"Needs the scope `{_change.scope}`.",
        status_code=202,
        response_model=schemas.Decided,
        responses=openapi.CHANGED
        | openapi.problems(
            "not_json",
            "idempotency_key_missing",
            "idempotency_key_repeated",
            "payment_not_found",
            "idempotency_mismatch",
            *_change.refusals,
            "message_too_large",
            "media_type",
            "sensitive_data",
            "kafka_unavailable",
        ),
        openapi_extra=openapi.change(_change.model, _change.example),
    )


async def _send_change(request: Request, change: _Change, payment_id: str, principal: Principal) -> Response:
    wait_s = preferred_wait_s(request)
    began = time.monotonic()
    context, command = context_of(request), await _command(request, change, payment_id, principal)
    id_, merchant_id = command.payment_id, principal.merchant_id
    # The worker would refuse it too, but with a dead letter, which an operator has to look at.
    if await context.read(lambda conn: history.page(conn, merchant_id, id_, 0, 1)) is None:
        raise payment_not_found()
    headers = {"Location": url_of(id_)}
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s}"
    with context.bus.replies.expect(command) as pending:
        await send(context, command, request)
        decided = await by_deadline(began + max(wait_s or 0, _DECIDED_WITHIN_S), pending.decision)
        if decided is None:
            return accepted(command, headers)
        if decided.result == "refused":
            raise refusal(decided, command, headers)
        end = await by_deadline(began + (wait_s or 0), _end(pending, decided))
    return _decided(command, end or decided, headers, status=200 if end else 202)


async def _end(pending: PendingReply, decided: Reply) -> Reply | None:
    if is_end(decided, decided):
        return decided
    return await pending.until(lambda update: is_end(decided, update))


async def _command(
    request: Request, change: _Change, payment_id: str, principal: Principal
) -> MerchantCommand:
    """Builds the change's command. Raises `Problem`."""
    body = await json_body(request, required=False)
    key, id_ = idempotency_key(request), reads.uuid_of(payment_id)
    kind = change.model.model_fields["type"].default
    try:
        id_of_command = command_id(principal.merchant_id, id_, key, kind.partition(".")[0])
    except InvalidMessage as invalid:
        raise Problem.of(invalid) from None
    fixed = {
        "command_id": id_of_command,
        "payment_id": id_,
        "merchant_id": principal.merchant_id,
    }
    return command_of(change.model, body | signed(body, principal), fixed)


def signed(body: dict[str, Any], principal: Principal) -> dict[str, str]:
    """Returns `who` with the API key's id added; an empty dict if the body has none. Raises `Problem`."""
    if not isinstance(who := body.get("who"), str):
        return {}
    if len(who := who.strip()) > WHO_MAX:
        raise Problem("field_invalid", f"`who` may have {WHO_MAX} characters", path="who")
    return {"who": principal.signed(who) if who else ""}


def _decided(command: MerchantCommand, reply: Reply, headers: dict[str, str], *, status: int) -> Response:
    content = {
        "payment_id": command.payment_id,
        "command_id": command.command_id,
        "url": url_of(command.payment_id),
        "operation_id": reply.operation_id,
        "operation_state": reply.operation_state,
        "code": reply.code,
        "detail": reply.detail,
        "amounts": reply.amounts,
        "status": reply.status,
        "version": reply.version,
    }
    return json_response(content, status, headers)
