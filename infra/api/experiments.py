"""Serves what the experiments of a merchant's routing policy show."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from infra.api import openapi
from infra.api.auth import Principal
from infra.api.deps import allowed, context_of, json_response
from infra.api.experiment_schemas import ExperimentReport
from infra.api.problems import Problem
from infra.postgres import experiment_reports

router = APIRouter(prefix="/v1/routing/experiments", tags=["routing"])


@router.get(
    "/{experiment_id}",
    operation_id="getExperiment",
    summary="What an experiment shows: arms, intervals, sample ratio and verdict",
    description="Needs the scope `routing:read`. The intervals hold at every look: look as often as you like.",
    response_model=ExperimentReport,
    responses=openapi.problems("experiment_not_found"),
)
async def experiment(
    request: Request,
    experiment_id: Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", examples=["stripe-or-adyen"])],
    principal: Annotated[Principal, Depends(allowed("routing:read"))],
) -> Response:
    """Returns the report."""
    found = await context_of(request).read(
        lambda conn: experiment_reports.find(conn, principal.merchant_id, experiment_id)
    )
    if found is None:
        raise Problem("experiment_not_found", f"no version that was active has an experiment {experiment_id}")
    return json_response(found)
