"""A merchant's routing policy through its versions. Invariant: a version never changes, at most one is
active, and only one in which the lint finds no error becomes it.

A version is a draft until it is activated. Activating is for the newest; an earlier one that was active
before is returned to by `roll_back`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate
from pydantic import ValidationError

from aggregates import policy_events
from aggregates.decision import Refused
from aggregates.routing.findings import Accounts, Finding
from aggregates.routing.lint import lint
from aggregates.routing.policy import Experiment, Policy
from aggregates.routing.targets import strategies_of

_POLICIES: Final = UUID("3f7d1c52-94aa-5c39-8d0e-5b0c6d2f9a77")

VERSIONS_MAX: Final = 10_000
"""A policy has at most so many versions: three a day for nine years."""


_DRAFT_AGAIN: Final = "draft its document once more, and activate the version that this gives"


def policy_id(merchant_id: str) -> UUID:
    """Returns the id of the merchant's stream in `policy_events`: uuid5 of its name."""
    return uuid5(_POLICIES, merchant_id)


@dataclass(frozen=True, slots=True)
class By:
    """Who changes a policy, why, and when."""

    who: str
    reason: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """One version. `activated_at`, `activated_by`, `activation_reason`: when it last became the active one,
    by whom, and why; None: never."""

    number: int
    document: Mapping[str, Any]
    who: str
    reason: str
    drafted_at: datetime
    activated_at: datetime | None = None
    activated_by: str | None = None
    activation_reason: str | None = None


class HasErrors(Refused):
    """Raised where the lint finds errors in the version that is to be active."""

    def __init__(self, number: int, findings: list[Finding]) -> None:
        first = next(finding for finding in findings if finding.severity == "error")
        super().__init__(
            "policy_has_errors", f"version {number} at {first.where}: {first.what}; {first.remedy}"
        )
        self.findings = findings


class PolicyState:
    """The sum of a policy's events."""

    def __init__(self) -> None:
        self.merchant_id = ""
        self.versions: dict[int, Version] = {}
        self.active: Version | None = None
        self.stopped: dict[str, list[str]] = {}  # arms, by experiment

    @property
    def newest(self) -> Version | None:
        """The version that was drafted last; None: there is none."""
        return next(reversed(self.versions.values()), None)

    @property
    def draft(self) -> Version | None:
        """The newest version while it was never active."""
        newest = self.newest
        return newest if newest is not None and newest.activated_at is None else None

    def state_of(self, version: Version) -> Literal["active", "draft", "former", "superseded"]:
        """Returns what a version is now. `former`: it was active; `superseded`: it never was, and a newer one
        was drafted."""
        if version is self.active:
            return "active"
        if version.activated_at is not None:
            return "former"
        return "draft" if version is self.newest else "superseded"

    def add(self, number: int, document: Mapping[str, Any], who: str, reason: str, at: datetime) -> None:
        """Records a new version."""
        self.versions[number] = Version(number, document, who, reason, at)

    def make_active(self, number: int, who: str, reason: str, at: datetime) -> None:
        """Records which version is active."""
        self.active = replace(
            self.versions[number], activated_at=at, activated_by=who, activation_reason=reason
        )
        self.versions[number] = self.active

    def stop(self, experiment: str, arm: str) -> None:
        """Records that an arm is stopped."""
        self.stopped.setdefault(experiment, []).append(arm)


class RoutingPolicy(PolicyState, Aggregate):
    """The aggregate: its methods decide, and record one event each, or none for what is already so."""

    # No annotation: it would make the library write an `__init__` of its own, in place of the state's.
    TOPIC = "routing_policy"
    Event = policy_events.PolicyEvent
    Created = policy_events.PolicyCreated

    @classmethod
    def open(cls, merchant_id: str, by: By) -> "RoutingPolicy":
        """Begins the policy of a merchant that has none."""
        return cls._create(  # the library's own way to begin a stream
            policy_events.Opened, id=policy_id(merchant_id), merchant_id=merchant_id, **_fields(by)
        )

    def put_draft(self, policy: Policy, by: By) -> int:
        """Adds a version and returns its number; that of the newest where it says the same. Raises `Refused`
        where there are `VERSIONS_MAX`."""
        document, newest = policy.document(), self.newest
        if newest is not None and newest.document == document:
            return newest.number
        number = 1 if newest is None else newest.number + 1
        if number > VERSIONS_MAX:
            text = f"a policy has at most {VERSIONS_MAX} versions: one that was active can be returned to"
            raise Refused("policy_versions_max", text)
        self.trigger_event(policy_events.Drafted, number=number, document=document, **_fields(by))
        return number

    def activate(self, number: int, accounts: Accounts | None, by: By) -> None:
        """Lets the newest version route the merchant's payments. Raises `Refused`.

        `accounts`: those of the merchant, for the lint; None: they are not known.
        """
        version = self.version_of(number)
        if version is self.active:
            return
        if version is not self.newest:
            assert self.newest is not None
            how = "it was active before: roll back to it" if version.activated_at else _DRAFT_AGAIN
            text = f"version {self.newest.number} was drafted after version {number}: {how}"
            raise Refused("policy_not_newest", text)
        _check(version, accounts, by)
        self.trigger_event(policy_events.Activated, number=number, **_fields(by))

    def roll_back(self, number: int, accounts: Accounts | None, by: By) -> None:
        """Lets a version that was active before route the merchant's payments again. Raises `Refused`."""
        version = self.version_of(number)
        if version is self.active:
            return
        if version.activated_at is None:
            how = "activate it" if version is self.newest else _DRAFT_AGAIN
            raise Refused("policy_never_active", f"version {number} was never active: {how}")
        _check(version, accounts, by)
        self.trigger_event(policy_events.RolledBack, number=number, **_fields(by))

    def stop_arm(self, experiment: str, arm: str, by: By) -> None:
        """Stops an arm of an experiment of the active version, for good: also in later versions that have the
        experiment. Raises `Refused`."""
        found = self._experiment(experiment)
        if found is None or arm not in found.arms:
            text = f"the active policy has no experiment {experiment} with an arm {arm}"
            raise Refused("experiment_unknown", text)
        if arm == found.control:
            text = f"{arm} is the control of {experiment}: activate a policy without the experiment"
            raise Refused("arm_is_control", text)
        if arm not in self.stopped.get(experiment, ()):
            self.trigger_event(policy_events.ArmStopped, experiment=experiment, arm=arm, **_fields(by))

    def version_of(self, number: int) -> Version:
        """Returns a version. Raises `Refused` for a number that none has."""
        if (version := self.versions.get(number)) is None:
            raise Refused("policy_version_unknown", f"there is no version {number}")
        return version

    def _experiment(self, experiment: str) -> Experiment | None:
        if self.active is None:
            return None
        found = (one for _, one in strategies_of(read(self.active)) if isinstance(one, Experiment))
        return next((one for one in found if one.id == experiment), None)


def read(version: Version) -> Policy:
    """Returns the policy of a version. Raises `Refused` where this release does not take its document any
    more."""
    try:
        return Policy.model_validate(version.document)
    except ValidationError:
        text = f"this release does not take the document of version {version.number}: draft it again"
        raise Refused("policy_outdated", text) from None


def _check(version: Version, accounts: Accounts | None, by: By) -> None:
    findings = lint(read(version), accounts, by.now.astimezone(UTC).date())
    if any(finding.severity == "error" for finding in findings):
        raise HasErrors(version.number, findings)


def _fields(by: By) -> dict[str, Any]:
    return {"who": by.who, "reason": by.reason, "timestamp": by.now}
