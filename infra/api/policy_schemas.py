"""Schemas of the routes about routing policies, for the OpenAPI document."""

from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from aggregates.routing.policy import Policy
from commands.fields import Text


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChangePolicy(_Shape):
    """Who changes the routing policy, and why. Both are kept for ever."""

    who: Text
    reason: Text


class PolicyFault(_Shape):
    """One reason for which a document is no routing policy."""

    path: str | None = Field(description="Dotted; lists are counted from 0")
    line: int | None = Field(description="In YAML, from 1")
    detail: str


class PolicyFinding(_Shape):
    """One thing that the lint finds wrong in a policy."""

    severity: Literal["error", "warning"] = Field(description="With an error the policy cannot be activated")
    code: str = Field(description="For programs, e.g. unreachable, contradiction, unknown_account, sum")
    where: str = Field(description="The dotted path in the document; lists are counted from 0")
    what: str
    remedy: str


class PolicyVersion(_Shape):
    """One version of a merchant's routing policy."""

    version: int
    state: Literal["active", "draft", "former", "superseded"] = Field(
        description="former: it was active. superseded: it never was, and a newer one was drafted"
    )
    who: str
    reason: str
    drafted_at: AwareDatetime
    activated_at: AwareDatetime | None = Field(description="When it last became the active one")
    activated_by: str | None
    activation_reason: str | None = Field(description="Why: of the activation, or of the return to it")


class PolicyVersions(_Shape):
    """A merchant's routing policy: its versions, newest first."""

    merchant_id: str
    change: int = Field(description="Grows with each change; the ETag holds it. 0: there is no policy yet")
    active: int | None = Field(description="The version that routes; null: the order of the settings does")
    draft: int | None = Field(description="The newest version, while it was never active")
    stopped_arms: dict[str, list[str]] = Field(
        description="By experiment: the arms that get no customers any more"
    )
    versions: list[PolicyVersion]
    next_before: int | None = Field(description="Of the next page; null: this is the last one")


class PolicyChange(_Shape):
    """What a change of the routing policy came to."""

    version: int
    state: Literal["active", "draft", "former", "superseded"]
    change: int = Field(description="As in the ETag")
    findings: list[PolicyFinding] = Field(description="What the lint finds in this version")


EXAMPLE: Final[dict[str, Any]] = {
    "accounts": ["stripe-eu", "adyen-eu"],
    "strategy": {"kind": "metrics", "success": 0.6, "latency": 0.3, "cost": 0.1},
    "rules": [
        {
            "id": "big-amounts",
            "when": {"amount": [{"currency": "EUR", "min": 50000}]},
            "then": {"prefer": ["adyen-eu"]},
        }
    ],
    "residency": {"IN": ["razorpay-in"]},
}
DOCUMENT_NAME: Final = "PolicyDocument"
_STRATEGY: Final = "PolicyStrategy"
_REF: Final = "#/components/schemas/{}"


def document_schemas() -> dict[str, Any]:
    """Returns the schema of a policy's document and of each of its parts, by their names in OpenAPI: those of
    the parts begin with Policy, since other schemas are called Experiment or Latency too."""
    whole = Policy.model_json_schema()
    parts = whole.pop("$defs")
    whole["title"] = DOCUMENT_NAME
    whole["description"] = "A routing policy as it is written. What each part means is in docs/routing.md"
    whole["example"] = EXAMPLE
    found = {DOCUMENT_NAME: whole} | {f"Policy{name}": part for name, part in parts.items()}
    strategies: dict[str, Any] = {}
    for name, part in found.items():
        _for_openapi(part, strategies)
        part["title"] = name
    return found | {_STRATEGY: strategies | {"title": _STRATEGY}}


def _for_openapi(part: Any, strategies: dict[str, Any]) -> None:
    """Points references to the components, and gives what generators would leave without a name or a type
    one. Fills `strategies`."""
    for one in part if isinstance(part, list) else ():
        _for_openapi(one, strategies)
    if not isinstance(part, dict):
        return
    for value in part.values():
        _for_openapi(value, strategies)
    if "$ref" in part:
        part["$ref"] = _component(part["$ref"])
    if "patternProperties" in part:
        ((pattern, values),) = part.pop("patternProperties").items()
        part |= {"additionalProperties": values, "propertyNames": {"pattern": pattern}}
    if "discriminator" in part:
        kinds = part["discriminator"]["mapping"]
        part["discriminator"]["mapping"] = {kind: _component(to) for kind, to in kinds.items()}
        strategies |= part
        part.clear()
        part["$ref"] = _REF.format(_STRATEGY)


def _component(reference: str) -> str:
    return _REF.format(f"Policy{reference.rpartition('/')[2]}")


DOCUMENT: Final = {"$ref": _REF.format(DOCUMENT_NAME)}
"""Refers to the schema of a document."""
