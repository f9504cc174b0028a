"""What a merchant asks of a payment that exists, by HTTP: the commands that a producer on Kafka sends, by the same rules.

Invariant: the same Idempotency-Key for the same kind of change of the same payment is one command, however often it
is sent; with other content it is refused.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from commands.client import is_end
from commands.handlers import check
from commands.messages import (
    CancelPayment,
    CapturePayment,
    CompleteAction,
    InvalidMessage,
    MerchantCommand,
    RefundPayment,
    Reply,
    ResolvePayment,
    RetryStatusQuery,
    VoidPayment,
    command_id,
    parse_command,
)
from infra.api import documented, reads, sending, shapes
from infra.api.bus import Expected
from infra.api.door import allowed, answer, door_of, json_body, preferred_wait_s
from infra.api.keys import Principal, Scope
from infra.api.problems import Problem, payment_not_found
from projections import history

router = APIRouter(prefix="/v1", tags=["payments"])

_DECIDED_WITHIN_S: Final = 5.0
_OURS: Final = ("type", "command_id", "payment_id", "merchant_id")


@dataclass(frozen=True, slots=True)
class _Change:
    """`refusals`: the codes that are this kind's own, for the documentation."""

    path: str
    model: type[MerchantCommand]
    scope: Scope
    summary: str
    example: Mapping[str, Any]
    refusals: tuple[str, ...]


_OPERATION: Final = {"operation_id": shapes.OPERATION_ID}
_CHANGES: Final = (
    _Change(
        "captures",
        CapturePayment,
        "payments:write",
        "Capture what was authorized: all that is left, or a part",
        {"amount_minor": 500, "final": False},
        (
            "not_authorized",
            "nothing_to_capture",
            "capture_in_flight",
            "void_in_flight",
            "authorization_expired",
            "capture_exceeds_authorization",
            "payment_frozen",
        ),
    ),
    _Change(
        "voids",
        VoidPayment,
        "payments:write",
        "Release what is authorized and not captured",
        {},
        (
            "not_authorized",
            "nothing_to_void",
            "capture_in_flight",
            "void_in_flight",
            "authorization_expired",
            "payment_frozen",
        ),
    ),
    _Change(
        "refunds",
        RefundPayment,
        "refunds:write",
        "Give back what was captured: all that is left, or a part",
        {"amount_minor": 300, "reason": "a shoe came back"},
        ("nothing_captured", "refund_exceeds_captured", "payment_frozen"),
    ),
    _Change(
        "cancel",
        CancelPayment,
        "payments:write",
        "Take nothing: end what is under way, release what is authorized",
        {},
        (
            "already_captured",
            "already_canceled",
            "nothing_to_cancel",
            "void_in_flight",
            "authorization_expired",
            "payment_frozen",
        ),
    ),
    _Change(
        "complete-action",
        CompleteAction,
        "payments:write",
        "The customer came back from a challenge: ask the PSP how it went",
        _OPERATION,
        ("no_action_required", "returned_too_often"),
    ),
    _Change(
        "resolve",
        ResolvePayment,
        "doubt:resolve",
        "A person's decision about an operation in doubt; recorded with the API key's id and the name given",
        _OPERATION | {"decision": "charged", "evidence": "charge ch_3N in the PSP's dashboard", "who": "Kim"},
        (
            "not_in_doubt",
            "operation_unknown",
            "not_asked_yet",
            "amount_not_possible",
            "operation_in_use",
            "attempt_in_flight",
            "still_to_be_given_back",
        ),
    ),
    _Change(
        "status-queries",
        RetryStatusQuery,
        "payments:write",
        "Ask the PSP now how it ended, without waiting for the schedule",
        _OPERATION,
        ("nothing_in_doubt", "asked_just_now"),
    ),
)


def _route(change: _Change) -> Callable[..., Any]:
    async def ask(
        request: Request,
        payment_id: reads.PaymentId,
        principal: Annotated[Principal, Depends(allowed(change.scope))],
    ) -> Response:
        return await _ask(request, change, payment_id, principal)

    return ask


for _change in _CHANGES:
    router.add_api_route(
        f"/payments/{{payment_id}}/{_change.path}",
        _route(_change),
        methods=["POST"],
        name=_change.path,
        summary=_change.summary,
        description=f"Needs the scope `{_change.scope}`.",
        status_code=202,
        response_model=shapes.Decided,
        responses=documented.CHANGED
        | documented.problems(
            "not_json",
            "idempotency_key_missing",
            "payment_not_found",
            "idempotency_mismatch",
            *_change.refusals,
            "message_too_large",
            "media_type",
            "sensitive_data",
            "kafka_unavailable",
        ),
        openapi_extra=documented.change(_change.model, _change.example),
    )


async def _ask(request: Request, change: _Change, payment_id: str, principal: Principal) -> Response:
    wait_s = preferred_wait_s(request)
    began = time.monotonic()
    door, command = door_of(request), await _command(request, change, payment_id, principal)
    id_, merchant_id = command.payment_id, principal.merchant_id
    # The worker says so too, but with a dead letter, which is for an operator to look at.
    if await door.read(lambda conn: history.page(conn, merchant_id, id_, 0, 1)) is None:
        raise payment_not_found()
    headers = {"Location": sending.url_of(id_)}
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s}"
    with door.bus.expect(command) as expected:
        await sending.send(door, command, request)
        decided = await sending.before(began + max(wait_s or 0, _DECIDED_WITHIN_S), expected.answer())
        if decided is None:
            return sending.accepted(command, headers)
        if decided.result == "refused":
            raise sending.refused(decided, command, headers)
        end = await sending.before(began + (wait_s or 0), _end(expected, decided))
    return _told(command, end or decided, headers, status=200 if end else 202)


async def _end(expected: Expected, decided: Reply) -> Reply | None:
    if is_end(decided, decided):
        return decided
    return await expected.until(lambda news: is_end(decided, news))


async def _command(
    request: Request, change: _Change, payment_id: str, principal: Principal
) -> MerchantCommand:
    """Raises `Problem`."""
    body = await json_body(request, required=False)
    key, id_ = sending.idempotency_key(request), reads.uuid_of(payment_id)
    kind = change.model.model_fields["type"].default
    try:
        ours = {
            "type": kind,
            "command_id": command_id(principal.merchant_id, id_, key, kind.partition(".")[0]),
            "payment_id": id_,
            "merchant_id": principal.merchant_id,
        }
        command = parse_command(orjson.dumps(body | ours | _signed(body, principal)))
        check(command)
    except InvalidMessage as invalid:
        raise Problem.of(invalid) from None
    except orjson.JSONEncodeError:
        raise Problem("request_invalid", "the body is nested too deeply") from None
    # Not earlier: the search for card numbers comes before everything else.
    if unknown := sorted(body.keys() & set(_OURS)):
        raise Problem("field_unknown", "there is no such field", path=unknown[0])
    assert isinstance(command, change.model)
    return command


def _signed(body: dict[str, Any], principal: Principal) -> dict[str, str]:
    """The name of the one who decides is the caller's word; whose key it was is not."""
    if not isinstance(who := body.get("who"), str):
        return {}
    return {"who": f"{who.strip()} (API key {principal.key_id})" if who.strip() else ""}


def _told(command: MerchantCommand, reply: Reply, headers: dict[str, str], *, status: int) -> Response:
    content = {
        "payment_id": command.payment_id,
        "command_id": command.command_id,
        "url": sending.url_of(command.payment_id),
        "operation_id": reply.operation_id,
        "operation_state": reply.operation_state,
        "status": reply.status,
        "version": reply.version,
    }
    return answer(content, status, headers)
