"""The state of a payment: the facts that its events recorded, and what follows from them. Only events change
it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from aggregates.contradiction import Contradiction, ContradictionKey
from aggregates.decision import Cause
from aggregates.dispute import Dispute
from aggregates.fees import FeeFacts
from aggregates.money import Money
from aggregates.operation import Kind, Operation, OperationState
from aggregates.routing.facts import USUAL_METHOD, Hints, region_of, segments
from aggregates.routing.payment_facts import card_facts
from aggregates.routing.retries import AwaitedAccount
from aggregates.status import TAKES, Ended, Flags, OperationAmounts, Status, Totals, status, totals

_WARNING: Final = timedelta(hours=24)
_REFUND_LIFE: Final = timedelta(days=7)
ACTION_LIFE: Final = timedelta(hours=1)
"""Time to complete a challenge, unless the payment expires first."""


@dataclass(frozen=True, slots=True)
class Retry:
    """An operation that was not executed, and when the next one takes its place."""

    operation: Operation
    at: datetime
    account: str
    three_ds: bool


class PaymentState:
    """The sum of a payment's events. Amounts in minor units of its currency; times aware, in UTC."""

    def __init__(self) -> None:
        self.merchant_id = ""
        self.idempotency_key = ""
        self.fingerprint = ""
        self.create_command_id = UUID(int=0)
        self.correlation_id = ""
        self.amount = Money(0, "USD")
        self.capture = "automatic"
        self.payment_method: str | None = None
        self.payment_methods: dict[str, str] | None = None
        self.method: str | None = None
        self.card: dict[str, str | None] | None = None
        self.country: str | None = None
        self.customer_id: str | None = None
        self.metadata: dict[str, str] = {}
        self.stored_credential: dict[str, str | None] | None = None
        self.description: str | None = None
        self.statement_text: str | None = None
        self.return_page: str | None = None
        self.requested_at = self.expires_at = datetime.min.replace(tzinfo=UTC)
        self.commands: dict[str, str] = {}  # fingerprints of those that were accepted
        self.causes: set[str] = set()  # ids of all messages, reports and wakes too, that led to an event
        self.operations: dict[str, Operation] = {}
        self.expected_fees: dict[str, Money] = {}  # by operation, where a price list states one
        self.retries: dict[str, Retry] = {}
        self.awaits_account: AwaitedAccount | None = None
        self.rejected: str | None = None
        self.reason: str | None = None
        self.detail: str | None = None  # the PSP's words, or ours
        self.action_url: str | None = None  # the newest that the customer was sent to
        self.ended: Ended | None = None
        self.held = False  # for a person's review, until `expires_at`
        self.routing_hints = Hints()  # of the routing hooks, for every attempt
        self.cancel_requested = False
        self.returned: Counter[str] = Counter()  # by operation
        self.contradictions: dict[ContradictionKey, Contradiction] = {}
        self.disputes: dict[str, Dispute] = {}  # in the order of their latest reports
        self.expiry_warned = False
        self.authorization_expired = False
        self.lapsed = False  # of the authorization, by our clock: what is left of it is being released

    # The payment's own fields

    @property
    def fee_totals(self) -> dict[str, int]:
        """What the operations that were executed are expected to cost, in minor units by the fee's currency.
        An operation whose fee is unknown is in none."""
        totals: Counter[str] = Counter()
        for name, fee in self.expected_fees.items():
            if self.operations[name].state is OperationState.APPROVED:
                totals[fee.currency] += fee.minor
        return dict(totals)

    def fee_fields(self, kind: Kind, account: str, amount_minor: int, cause: Cause) -> dict[str, Any]:
        """Returns the fields of an event that keep what an operation at the account is expected to cost."""
        method = self.method or USUAL_METHOD
        facts = FeeFacts.with_card(
            amount_minor, self.amount.currency, method, self.country, card_facts(self.card)
        )
        fees = cause.fees.fees(account, kind, facts, cause.now)
        if fees is None:
            return {}
        return {"expected_fee_minor": fees.total.minor, "expected_fee_currency": fees.total.currency}

    @property
    def frozen_by(self) -> set[str]:
        """The operations whose reports contradict the record."""
        return {key[0] for key, one in self.contradictions.items() if one.open}

    @property
    def frozen(self) -> bool:
        """True while only an operator may start what moves money; queries, cancels and timers go on."""
        return bool(self.frozen_by) or self.dispute_contradicts is not None

    @property
    def dispute_contradicts(self) -> str | None:
        """The reason why the disputes contradict the sums, which freezes the payment as long as they do.
        None: they do not."""
        return self.totals.dispute_contradicts if self.disputes else None

    def frozen_without(self, operation_id: str, other_psp_id: str | None = None) -> bool:
        """True if the payment stays frozen after an operator's decision on this operation, or on its second
        id at the PSP."""
        others = self.frozen_by - {operation_id}
        still = self.still_contradicts(operation_id, other_psp_id) is not None
        return bool(others) or still or self.dispute_contradicts is not None

    def still_contradicts(self, operation_id: str, other_psp_id: str | None) -> str | None:
        """Returns why the operation's reports contradict the record after an operator's decision on it. None:
        they do not."""
        left = [
            one.reason
            for key, one in self.contradictions.items()
            if one.open and key[0] == operation_id and not one.ends_by(key[2], other_psp_id)
        ]
        return left[-1] if left else None

    def second_ids(self, operation_id: str) -> list[str]:
        """Returns the PSP's further ids of an operation that it executed more than once, as far as no
        operator has decided about them."""
        return [
            key[2]
            for key, one in self.contradictions.items()
            if one.open and one.until == "named" and key[0] == operation_id and key[2] is not None
        ]

    def is_second_id(self, operation_id: str, psp_id: str | None) -> bool:
        """True if the PSP's id is a second execution of the operation, whatever an operator has decided
        since."""
        return any(
            one.until == "named" and (key[0], key[2]) == (operation_id, psp_id)
            for key, one in self.contradictions.items()
        )

    @property
    def parts(self) -> tuple[OperationAmounts, ...]:
        """The operations, as far as sums and status are concerned."""
        return tuple(
            OperationAmounts(
                o.kind,
                o.state,
                o.amount.minor,
                o.approved_minor,
                o.final,
                o.duplicate_charge,
                o.may_be_disputed,
            )
            for o in self.operations.values()
        )

    @property
    def flags(self) -> Flags:
        """The facts beside the operations that sums and status depend on."""
        taking = [dispute for dispute in self.disputes.values() if dispute.state in TAKES]
        ours = [one for one in taking if one.currency == self.amount.currency]
        of_duplicate = sum(one.amount_minor for one in ours if self.is_duplicate(one.operation_id))
        return Flags(
            rejected=self.rejected is not None,
            held=self.held,
            ended=self.ended,
            authorization_expired=self.authorization_expired,
            disputed_minor=sum(one.amount_minor for one in ours) - of_duplicate,
            disputed_duplicate_minor=of_duplicate,
            disputed_abroad=len(ours) < len(taking),
            retrying=tuple((retry.operation.kind, retry.operation.amount.minor) for retry in self._waiting()),
        )

    def is_duplicate(self, operation_id: str) -> bool:
        """True for a charge beside the one that took the payment; False also for an unknown operation."""
        operation = self.operations.get(operation_id)
        return operation is not None and operation.duplicate_charge

    def _waiting(self) -> Iterator[Retry]:
        return (retry for retry in self.retries.values() if not retry.operation.duplicate_charge)

    @property
    def status(self) -> Status:
        """The payment's status, computed anew from its operations."""
        return status(self.parts, self.flags)

    @property
    def totals(self) -> Totals:
        """The payment's sums, computed anew from its operations."""
        return totals(self.parts, self.flags)

    @property
    def attempts(self) -> list[Operation]:
        """The operations that try to take the payment, oldest first."""
        return [operation for operation in self.operations.values() if operation.is_charge_attempt]

    @property
    def approved_attempt(self) -> Operation | None:
        """The attempt that succeeded."""
        approved = (o for o in self.attempts if o.state is OperationState.APPROVED and not o.duplicate_charge)
        return next(approved, None)

    @property
    def authorization_until(self) -> datetime | None:
        """The time until which the authorization may be captured. None: nothing waits for a capture."""
        approved = self.approved_attempt
        if approved is None or approved.kind != "authorize" or approved.approved_at is None:
            return None
        return approved.approved_at + timedelta(seconds=approved.psp.authorization_life_s)

    def under_way(self, kind: Kind) -> list[Operation]:
        """Returns the operations of a kind that have not ended, and those that wait for their next
        attempt."""
        waiting = [retry.operation for retry in self.retries.values()]
        started = [operation for operation in self.operations.values() if operation.open]
        return [operation for operation in started + waiting if operation.kind == kind]

    def expiry_at(self) -> datetime | None:
        """Returns when the warning, or the end of the authorization by our clock, is due, each once. None
        while a capture is under way. The end is due again where the payment was frozen when our void was to
        start."""
        until, total = self.authorization_until, self.totals
        if until is None or self.authorization_expired or not total.capturable or total.capturing:
            return None
        if (self.lapsed or self.expiry_warned) and self.frozen:
            return None
        approved = self.approved_attempt
        assert approved is not None
        if self.lapsed and (approved.confirming or not self.timed_void_due):
            return None
        if self.expiry_warned:
            return until
        return until - min(_WARNING, timedelta(seconds=approved.psp.authorization_life_s) / 4)

    @property
    def timed_void_due(self) -> bool:
        """True if the authorization's time is over by our clock, its PSP has a void, and our clock started
        none yet."""
        approved = self.approved_attempt
        has_void = approved is not None and "no_void" not in approved.psp.limits
        return self.lapsed and has_void and not any(one.timed for one in self.operations.values())

    def due(self) -> list[datetime]:
        """Returns the times at which something will change by itself."""
        if self.rejected is not None:
            return []
        moments = [o.next_follow_up_at() for o in self.operations.values()]
        moments += [o.escalate_at() for o in self.operations.values()]
        moments += [self.expiry_at(), self.expires_at if self.held else None]
        if self.awaits_account is not None and not self.frozen:
            moments.append(min(self.awaits_account.at, self.expires_at))
        if not self.frozen:
            moments += [retry.at for retry in self.retries.values()]
        return [moment for moment in moments if moment is not None]

    def next_wake_at(self, now: datetime) -> datetime | None:
        """Returns the time of the next wake, later than `now`. None: nothing will change by itself."""
        due = self.due()
        return max(min(due), now + timedelta(milliseconds=1)) if due else None

    # Called by events

    def end_contradictions(self, operation_id: str, other_psp_id: str | None = None) -> None:
        """Ends the contradictions that an operator's decision on the operation, or on its second id, settles.
        The same report no longer freezes the payment."""
        for key, one in self.contradictions.items():
            if key[0] == operation_id and one.ends_by(key[2], other_psp_id):
                self.contradictions[key] = replace(one, open=False)

    def wait_for_retry(self, operation: str, at: datetime, account: str, *, three_ds: bool) -> None:
        """Notes when the operation's next attempt is due, and at which account."""
        self.retries[operation] = Retry(self.operations[operation], at, account, three_ds)

    def drop_retries_of_attempts(self) -> None:
        """Forgets attempts that were scheduled; captures, voids and refunds stay."""
        self.retries = {
            name: retry for name, retry in self.retries.items() if not retry.operation.is_charge_attempt
        }

    def segment(self, kind: Kind) -> str:
        """Returns the name of the segment whose health an operation of this kind counts for."""
        card = self.card or {}
        region = region_of(card.get("country") or self.country)
        return segments(kind, self.method or USUAL_METHOD, self.amount.currency, region)[0]

    def left_to(self, kind: Kind, target: Operation | None) -> int | None:
        """Returns the minor units of the target that an operation of this kind may act on: of an
        authorization that is refunded, what was captured. None: it has no target."""
        if target is None:
            return None
        refunds = kind == "refund" and target.kind == "authorize" and target is self.approved_attempt
        return self.totals.captured if refunds else target.approved_minor

    def may_be_sent_until(self, kind: Kind, target: Operation | None, now: datetime) -> datetime:
        """Returns when a new operation expires: with the payment, with the authorization that it captures, or
        after 7 days."""
        if target is None:
            return self.expires_at
        until = self.authorization_until
        return until if kind == "capture" and until is not None else now + _REFUND_LIFE
