"""Closes an unmatched webhook by HTTP, for an operator. No command is sent: the payment does not change."""

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from commands.messages import InvalidMessage
from infra.api import openapi, reads
from infra.api.auth import Principal
from infra.api.changes import signed
from infra.api.deps import allowed, context_of, json_body, json_response
from infra.api.problems import Problem, payment_not_found
from infra.postgres.closed_webhooks import CloseWebhook, close, read
from projections import history


class WebhookClosed(BaseModel):
    """The record of a closed webhook. It is written once: a repeat returns the first one."""

    webhook_id: int
    payment_id: UUID
    account: str
    event_id: str = Field(description="The PSP's event id, or what its repeats have in common")
    who: str
    reason: str
    evidence: str
    closed_at: AwareDatetime


router = APIRouter(prefix="/v1", tags=["payments"])


@router.post(
    "/payments/{payment_id}/close-webhook",
    operation_id="closeWebhook",
    summary="Close a webhook that names the payment and could not be matched; recorded with the API key's id and the "
    "name given",
    description="Needs the scope `doubt:resolve`. `aegispay doubt list` and `aegispay verify` leave it out from then on. A "
    "repeat returns the first record.",
    response_model=WebhookClosed,
    responses=openapi.problems(
        "not_json",
        "payment_not_found",
        "webhook_unknown",
        "message_too_large",
        "media_type",
        "sensitive_data",
    ),
    openapi_extra=openapi.closing(
        CloseWebhook,
        {
            "webhook_id": 7,
            "reason": "a dispute without an amount: resolved by an operator as lost",
            "evidence": "case PP-D-4012 in PayPal's resolution centre",
            "who": "Kim",
        },
    ),
)
async def close_webhook(
    request: Request,
    payment_id: reads.PaymentId,
    principal: Annotated[Principal, Depends(allowed("doubt:resolve"))],
) -> Response:
    """Records the operator's closing, or returns the earlier one."""
    context, body = context_of(request), await json_body(request)
    try:
        closing = read(body | signed(body, principal))
    except InvalidMessage as invalid:
        raise Problem.of(invalid) from None
    id_ = reads.uuid_of(payment_id)
    if await context.read(lambda conn: history.page(conn, principal.merchant_id, id_, 0, 1)) is None:
        raise payment_not_found()
    closed = await context.read(lambda conn: close(conn, closing, id_))
    if closed is None:
        raise Problem("webhook_unknown", "no webhook of this id names the payment and awaits an operator")
    return json_response(asdict(closed))
