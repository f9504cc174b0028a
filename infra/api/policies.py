"""Routing policies by HTTP: the versions of the merchant of the API key, drafts, activation and the way back.

Invariant: every change names who made it and why, with the id of the API key, and is made onto the state that
the caller has seen if it says which (If-Match).
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from aggregates.decision import Refused
from aggregates.routing.findings import Accounts, Finding
from aggregates.routing.lint import lint
from aggregates.routing_policy import By, HasErrors, RoutingPolicy, Version
from aggregates.routing_policy import read as policy_of
from commands import policy_document, wording
from commands.card_data import sensitive_path
from commands.messages import SENSITIVE
from commands.policy_document import DOCUMENT_BYTES_MAX, Form, InvalidDocument
from infra.api import openapi, policy_openapi
from infra.api.auth import Principal
from infra.api.changes import signed
from infra.api.deps import allowed, context_of, json_body, json_response, raw_body
from infra.api.policy_schemas import ChangePolicy, PolicyChange, PolicyVersions
from infra.api.problems import Problem
from infra.api.transport import is_known, preferred
from infra.postgres.policy_store import PolicyChanged, load_part, save
from infra.process import clock

router = APIRouter(prefix="/v1/routing/policies", tags=["routing"])

_YAML: Final = "application/yaml"  # RFC 9512
_FORMS: Final[dict[str, Form]] = {
    "application/json": "json",
    _YAML: "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
}
_AS_YAML: Final = ".yaml"  # at the end of an ETag
Reads = Annotated[Principal, Depends(allowed("routing:read"))]
Writes = Annotated[Principal, Depends(allowed("routing:write"))]
Number = Annotated[int, Path(ge=1, lt=2**31, description="The number of a version")]


@router.get(
    "",
    operation_id="listPolicyVersions",
    summary="The versions of the routing policy, newest first",
    response_model=PolicyVersions,
    responses=policy_openapi.NOT_MODIFIED | openapi.problems(),
    openapi_extra=policy_openapi.CONDITIONAL,
)
async def versions(
    request: Request,
    principal: Reads,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[
        int, Query(ge=1, lt=2**31, description="`next_before` of the previous page: versions below it")
    ] = 2**31 - 1,
) -> Response:
    """Returns a page of the merchant's versions without their documents."""
    policy = await _read(request, principal, below=before, most=limit, documents=False)
    numbers = sorted((number for number in policy.versions if number < before), reverse=True)[:limit]
    content = {
        "merchant_id": principal.merchant_id,
        "change": _change(policy),
        "active": policy.active.number if policy.active else None,
        "draft": policy.draft.number if policy.draft else None,
        "stopped_arms": policy.stopped,
        "versions": [_shown(policy, policy.versions[number]) for number in numbers],
        "next_before": numbers[-1] if numbers and numbers[-1] > 1 else None,
    }
    headers = _etag(policy)
    return _not_modified(request, headers) or json_response(content, headers=headers)


@router.get(
    "/{version}",
    operation_id="getPolicyVersion",
    summary="The document of one version, in JSON or YAML",
    responses=policy_openapi.DOCUMENT
    | policy_openapi.NOT_MODIFIED
    | openapi.problems("policy_version_unknown"),
    openapi_extra=policy_openapi.CONDITIONAL,
)
async def document(
    request: Request,
    version: Annotated[
        str, Path(pattern=r"^([0-9]{1,9}|active|draft)$", description="A number, `active` or `draft`")
    ],
    principal: Reads,
) -> Response:
    """Returns the document, as it can be sent back as a draft."""
    policy = await _read(request, principal, numbers=[int(version)] if version.isdigit() else [])
    found = {"active": policy.active, "draft": policy.draft}.get(version)
    if version.isdigit():
        found = policy.versions.get(int(version))
    if found is None:
        raise Problem("policy_version_unknown", f"there is no version {version}")
    kind = preferred(", ".join(request.headers.getlist("accept")), list(_FORMS))
    as_yaml = kind is not None and _FORMS[kind] == "yaml"
    headers = _etag(policy, _AS_YAML if as_yaml else "")
    headers |= {"Content-Location": f"{router.prefix}/{found.number}", "Vary": "Accept"}
    if (same := _not_modified(request, headers)) is not None:
        return same
    if as_yaml:
        return Response(policy_document.to_yaml(found.document), 200, headers, _YAML)
    return json_response(found.document, headers=headers)


@router.put(
    "/draft",
    operation_id="putPolicyDraft",
    summary="Add a version that nothing is routed by yet",
    description="Needs the scope `routing:write`. The same document again adds no version. The response has what the lint "
    "finds: with an error it cannot be activated.",
    response_model=PolicyChange,
    responses=openapi.problems(
        "not_json",
        "not_an_object",
        "not_yaml",
        "message_too_large",
        "policy_media_type",
        "sensitive_data",
        "policy_versions_max",
        *policy_openapi.RACES,
    ),
    openapi_extra=policy_openapi.DRAFT,
)
async def put_draft(request: Request, principal: Writes) -> Response:
    """Adds a version, or finds that the newest one says the same."""
    given = dict(request.query_params)
    by = _by(given, principal)
    form = _FORMS.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
    if form is None:
        raise Problem("policy_media_type", f"send Content-Type: application/json or {_YAML}")
    raw = await raw_body(request, DOCUMENT_BYTES_MAX)
    try:
        written = await asyncio.to_thread(policy_document.read, raw, form)
    except InvalidDocument as invalid:
        first = invalid.faults[0]
        faults = [{"path": one.path, "line": one.line, "detail": one.detail} for one in invalid.faults]
        raise Problem(first.code, str(first), path=first.path, faults=faults) from None
    return await _changed(request, principal, by, [], lambda policy, _: policy.put_draft(written.policy, by))


@router.post(
    "/{version}/activate",
    operation_id="activatePolicy",
    summary="Let the newest version route the payments",
    description="Needs the scope `routing:write`. All workers route by it within 2 s. Refused where the lint finds errors.",
    response_model=PolicyChange,
    responses=openapi.problems(*policy_openapi.REFUSALS, "policy_not_newest"),
    openapi_extra=policy_openapi.CHANGE,
)
async def activate(request: Request, version: Number, principal: Writes) -> Response:
    """Activates the version, or finds it active."""
    return await _switched(request, principal, version, RoutingPolicy.activate)


@router.post(
    "/{version}/rollback",
    operation_id="rollBackPolicy",
    summary="Return to a version that was active before",
    description="Needs the scope `routing:write`. All workers route by it within 2 s. Refused where the lint finds errors, "
    "such as an account that the merchant has no more.",
    response_model=PolicyChange,
    responses=openapi.problems(*policy_openapi.REFUSALS, "policy_never_active"),
    openapi_extra=policy_openapi.CHANGE,
)
async def roll_back(request: Request, version: Number, principal: Writes) -> Response:
    """Returns to the version, or finds it active."""
    return await _switched(request, principal, version, RoutingPolicy.roll_back)


async def _switched(
    request: Request,
    principal: Principal,
    version: int,
    switch: Callable[[RoutingPolicy, int, Accounts | None, By], None],
) -> Response:
    by = _by(await json_body(request), principal)

    def decide(policy: RoutingPolicy, accounts: Accounts | None) -> int:
        switch(policy, version, accounts, by)
        return version

    return await _changed(request, principal, by, [version], decide)


async def _changed(
    request: Request,
    principal: Principal,
    by: By,
    numbers: Collection[int],
    decide: Callable[[RoutingPolicy, Accounts | None], int],
) -> Response:
    """Decides on the policy as it is, and saves it. `numbers`: the versions that `decide` looks at, beside
    the newest and the active one. It returns the number of the version that it was about."""
    context = context_of(request)
    accounts = (
        None if context.accounts is None else context.accounts.now().currencies_of(principal.merchant_id)
    )
    # Not `ApiContext.read`: a change whose connection is lost may have been made, and is not made twice.
    async with context.pool.connection() as conn:
        loaded = await load_part(conn, principal.merchant_id, numbers)
        _check_match(request, loaded)
        policy = loaded or RoutingPolicy.open(principal.merchant_id, by)
        try:
            # The lint of a long policy takes a while, and other requests go on.
            number = await asyncio.to_thread(decide, policy, accounts)
        except HasErrors as refused:
            findings = [asdict(one) for one in refused.findings]
            raise Problem(refused.code, refused.detail, findings=findings) from None
        except Refused as refused:
            raise Problem(refused.code, refused.detail) from None
        try:
            await save(conn, policy)
        except PolicyChanged:
            raise Problem("policy_changed", "look at it again, and send the change once more") from None
    one = policy.versions[number]
    found = await asyncio.to_thread(_findings, one, accounts, by)
    content = {
        "version": number,
        "state": policy.state_of(one),
        "change": _change(policy),
        "findings": [asdict(finding) for finding in found],
    }
    return json_response(content, headers=_etag(policy))


def _findings(version: Version, accounts: Accounts | None, by: By) -> list[Finding]:
    return lint(policy_of(version), accounts, by.now.date())


def _by(given: dict[str, Any], principal: Principal) -> By:
    """Reads `who` and `reason`. Raises `Problem`."""
    if (path := sensitive_path(given)) is not None:
        raise Problem(SENSITIVE, "looks like a card number or a security code: leave it out", path=path)
    try:
        said = ChangePolicy.model_validate(given | signed(given, principal))
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        code = {"missing": "field_missing", "extra_forbidden": "field_unknown"}.get(
            first["type"], "field_invalid"
        )
        raise Problem(code, wording.sentence(first), path=str(first["loc"][0])) from None
    return By(said.who, said.reason, clock.now())


async def _read(request: Request, principal: Principal, **part: Any) -> RoutingPolicy:
    """Returns a part of the merchant's policy; an empty one, which is not saved, where it has none."""
    loaded = await context_of(request).read(lambda conn: load_part(conn, principal.merchant_id, **part))
    return loaded or RoutingPolicy.open(principal.merchant_id, By("", "", clock.now()))


def _change(policy: RoutingPolicy) -> int:
    return policy.version if policy.versions else 0


def _etag(policy: RoutingPolicy, form: str = "") -> dict[str, str]:
    return {"ETag": f'"{_change(policy)}{form}"', "Cache-Control": "private, no-cache"}


def _not_modified(request: Request, headers: dict[str, str]) -> Response | None:
    return Response(status_code=304, headers=headers) if is_known(request, headers["ETag"]) else None


def _check_match(request: Request, policy: RoutingPolicy | None) -> None:
    """Raises `Problem` where If-Match names another state than the policy's (RFC 9110, 13.1.1)."""
    # The state is the same, whichever form of it the caller has read.
    lines = request.headers.getlist("if-match")
    given = [one.strip().replace(f'{_AS_YAML}"', '"') for line in lines for one in line.split(",")]
    here = f'"{0 if policy is None else _change(policy)}"'
    if given and here not in given and (policy is None or "*" not in given):
        raise Problem(
            "precondition_failed", "look at it again: its ETag is another now", headers={"ETag": here}
        )


def _shown(policy: RoutingPolicy, version: Version) -> dict[str, Any]:
    shown = {
        name: getattr(version, name)
        for name in ("who", "reason", "drafted_at", "activated_at", "activated_by", "activation_reason")
    }
    return {"version": version.number, "state": policy.state_of(version), **shown}
