"""External moves: money that was captured, released or refunded in the PSP's own pages, and not by AegisPay.

Invariant: a webhook about an operation that had ended leads to one query. What the PSP then shows beyond the
record is recorded once, as an operation that AegisPay never sent; what of that has failed since is taken
back; what else contradicts the record freezes the payment.

Totals are compared, so that a repeated webhook adds nothing. The PSP's total may or may not hold operations
of ours that are under way: until they have ended only what exceeds both is certain, and the query stays open.
"""

from dataclasses import dataclass, replace
from typing import Final

from aggregates import events
from aggregates.balances import (
    MOVE_KINDS,
    broken_sum,
    is_current,
    is_hold_released,
    is_left,
    is_newer,
    recorded_minor,
    shown_minor,
    under_way_minor,
)
from aggregates.contradiction import Until
from aggregates.decision import Cause
from aggregates.operation import (
    ENDED,
    NOT_EXECUTED,
    Balances,
    MoveKind,
    Operation,
    OperationState,
    Report,
)
from aggregates.payment import Payment

S = OperationState
_DONE: Final[dict[MoveKind, str]] = {"capture": "captured", "refund": "refunded"}


def query_balances(
    payment: Payment, operation: Operation, cause: Cause, reason: str, *, doubted: bool = False
) -> None:
    """Queries the PSP about the payment by the operation that took it, or by `operation` if that is another
    attempt or a refund of ours, which has an object of its own. Queries at most once for all reports of one
    moment. `doubted`: a webhook reports that what is recorded has failed."""
    approved = payment.approved_attempt
    of_it = operation.external or (operation.kind in {"capture", "void"} and not operation.duplicate_charge)
    subject = approved if approved is not None and of_it else operation
    just_queried = subject.confirming and subject.last_update_at == cause.now and subject.doubted >= doubted
    if subject.psp.looks_up and not subject.open and not just_queried:
        payment.request_follow_up("confirm", subject, cause, reason, doubted=doubted)


def query_after_refusal(payment: Payment, operation: Operation, report: Report, cause: Cause) -> None:
    """Queries the PSP about the payment after it refused a capture, void or refund: an external move may have
    come first."""
    approved = payment.approved_attempt
    if approved is None or operation.duplicate_charge or report.source == "none":
        return
    query_balances(
        payment,
        approved,
        cause,
        f"{operation.id} was refused ({report.code_text}): how the payment stands at the PSP",
    )


def take_webhook(payment: Payment, operation: Operation, report: Report, cause: Cause) -> None:
    """Takes a webhook about an operation that has ended."""
    if operation.open:
        return
    approved, balances = payment.approved_attempt, report.balances
    of_it = approved is not None and approved.id in {operation.id, operation.target}
    if balances is None or approved is None or not of_it:
        if report.state is S.UNKNOWN:
            query_balances(
                payment, operation, cause, f"a webhook reports a change after the end: {report.code_text}"
            )
    elif not approved.psp.looks_up:
        _Shown(payment, approved, report, balances, cause).record_moves()
    elif (
        operation is approved
        and None not in (report.psp_id, approved.psp_id)
        and report.psp_id != approved.psp_id
    ):
        reason = f"a webhook names {report.psp_id} ({report.code_text}), and {approved.psp_id} is on record"
        query_balances(payment, approved, cause, reason)
    elif is_newer(payment, balances):
        query_balances(
            payment, approved, cause, f"a webhook reports that money moved externally: {report.code_text}"
        )


def take_response_to_refund(payment: Payment, refund: Operation, report: Report, cause: Cause) -> None:
    """Queries the PSP about the payment if the PSP, as it approves our refund, shows another refund that is
    not recorded. The response may be a stored one, so less than is recorded proves nothing."""
    approved, balances = payment.approved_attempt, report.balances
    if refund.kind != "refund" or approved is None or refund.target != approved.id or balances is None:
        return
    ours = [o for o in payment.operations.values() if o.kind == "refund"]
    shown = {one.psp_id for one in balances.moves if one.kind == "refund"}
    unknown = shown - {o.psp_id for o in ours}
    # One of ours that is under way may have an id that is not known yet.
    waits = any(o.open and o.psp_id is None for o in ours)
    if is_newer(payment, balances) or (unknown and not waits):
        reason = f"the PSP shows more than {refund.id} as refunded"
        query_balances(payment, approved, cause, reason)


def take_webhook_of_move(payment: Payment, move: Operation, report: Report, cause: Cause) -> None:
    """Takes a webhook about an external move that is known by its own id. Only webhooks report one: AegisPay
    neither sends nor queries it."""
    # One that failed and was made again is recorded twice, under one id.
    move = next(o for o in reversed(payment.operations.values()) if o.external and o.psp_id == move.psp_id)
    older = move.observed_at is not None and report.observed_at <= move.observed_at
    stands, failed = move.state is S.APPROVED, report.state in NOT_EXECUTED
    if report.source != "webhook" or older or (report.state in ENDED and failed is not stands):
        return
    reason = f"a webhook reports {report.state} ({report.code_text}) of {move.id}, which was made externally"
    if move.psp.looks_up:
        query_balances(payment, move, cause, reason, doubted=stands and failed)
    elif failed:
        _take_back(payment, move, move.approved_minor, report, cause, reason=reason)


def take_move_of(payment: Payment, operation: Operation, report: Report, cause: Cause) -> None:
    """Takes an external move where no status API shows it. `operation`: the one that it captured or
    refunded."""
    assert report.balances is not None
    if payment.is_second_id(operation.id, report.psp_id):
        return  # no sum has what it took; an operator decides what became of it
    if operation is payment.approved_attempt:
        take_webhook(payment, operation, report, cause)
        return
    for one in report.balances.moves:
        if one.psp_id not in {kept.psp_id for kept in operation.kept}:
            payment.keep_move(operation, one, report.observed_at, cause)
    if not operation.open or not report.balances.moves:
        reason = f"money moved at the PSP ({report.code_text}), and {operation.id} is {operation.state}"
        payment.contradict(report, reason, cause, about=reason)


def record_kept(payment: Payment, operation: Operation, report: Report, cause: Cause) -> None:
    """Records the external moves on the operation that came while it had no outcome: captures first, for a
    refund rests on them. `report`: the one of its execution."""
    moves = sorted(operation.kept, key=lambda one: one.kind)
    if operation is payment.approved_attempt and moves:
        balances = Balances(moves=tuple(moves))
        _Shown(payment, operation, report, balances, cause).record_moves()


def is_only_of_external_move(operation: Operation, report: Report) -> bool:
    """True for a webhook about an external move, at a PSP without a status API: it reports nothing about the
    operation itself."""
    by_webhook_only = report.source == "webhook" and not operation.psp.looks_up
    return by_webhook_only and report.state is S.UNKNOWN and report.balances is not None


def compare(payment: Payment, approved: Operation, report: Report, cause: Cause) -> bool:
    """Compares the PSP's response with the record. False: it proves nothing yet, or is older than what is
    known."""
    assert report.balances is not None
    if not is_current(payment, report):
        return False
    shown = _Shown(payment, approved, report, report.balances, cause)
    certain = [shown.compare(kind) for kind in MOVE_KINDS]
    if not all(certain):
        return False
    if is_hold_released(payment, report.balances):
        release(
            payment,
            approved,
            cause,
            reason="the PSP holds nothing of it any more, and AegisPay did not release it",
        )
    elif payment.lapsed and is_left(payment):
        if "no_void" in approved.psp.limits:
            return False  # the PSP releases it by itself
        if _has_timed_void(payment):
            shown.contradict(
                "its time is over, our void was refused, and the PSP holds it still", "hold_released"
            )
    return True


def void_left(payment: Payment, approved: Operation, cause: Cause) -> None:
    """Starts a void, once, of an authorization whose time is over by our clock and which the PSP still holds
    as far as AegisPay knows."""
    if payment.timed_void_due and is_left(payment) and not payment.frozen:
        reason, left = "the authorization's time is over", payment.totals.capturable
        payment.start(
            "void", approved.psp, left, cause, reason=reason, target=approved, timed=True, owed=True
        )


def _has_timed_void(payment: Payment) -> bool:
    return any(operation.timed for operation in payment.operations.values())


@dataclass(frozen=True, slots=True)
class _Shown:
    """One response of the PSP about the money that `approved` took, beside the record."""

    payment: Payment
    approved: Operation
    report: Report
    balances: Balances
    cause: Cause

    def compare(self, kind: MoveKind) -> bool:
        """Records what the PSP shows beyond the record. True: nothing is left to query."""
        payment, reported_minor = self.payment, shown_minor(self.balances, kind)
        recorded, under_way = recorded_minor(payment, kind), under_way_minor(payment, kind)
        if reported_minor is None:
            return True
        if reported_minor < recorded:
            reason = f"the PSP shows {reported_minor} as {_DONE[kind]} in all, and {recorded} is recorded"
            return self._lack(kind, recorded - reported_minor, reason) or not under_way
        if reported_minor > recorded + under_way:
            self._record(kind, reported_minor - recorded - under_way)
        # A recorded move may have failed; then one that is under way may stand in its place.
        return not under_way or (reported_minor == recorded and not self.approved.doubted)

    def _lack(self, kind: MoveKind, minor: int, reason: str) -> bool:
        """Takes back external moves, where no operation of ours can be what the PSP's total lacks; else
        freezes the payment by the one that may be. True: an operator has to look."""
        shown = {one.psp_id for one in self.balances.moves if one.kind == kind}
        kinds = {"capture", "sale"} if kind == "capture" else {"refund"}
        done = [o for o in self.payment.operations.values() if o.kind in kinds and o.state is S.APPROVED]
        absent = [
            o
            for o in reversed(done)
            if not o.duplicate_charge and (o.psp_id is None or o.psp_id not in shown)
        ]
        theirs = [o for o in absent if o.external]
        if len(theirs) < len(absent) or minor > sum(o.approved_minor for o in theirs):
            subject = next(iter(theirs or absent), self.approved)
            report = replace(
                self.report,
                operation_id=subject.id,
                psp_id=subject.psp_id,
                amount_minor=subject.approved_minor,
            )
            until: Until = "captured_agrees" if kind == "capture" else "refunded_agrees"
            self.payment.contradict(report, reason, self.cause, about=reason, until=until)
            return True
        for move in [o for o in theirs if o.approved_minor == minor][:1] or theirs:
            part = min(minor, move.approved_minor)
            if part:
                _take_back(self.payment, move, part, self.report, self.cause, reason=reason)
            minor -= part
        return False

    def record_moves(self) -> None:
        """Records each move that a PSP without a status API reports, once per id."""
        known = {o.psp_id for o in self.payment.operations.values() if self._is_known(o)}
        if not self.balances.moves:
            self.contradict(
                f"money moved at the PSP, and it does not report how much: {self.report.code_text}"
            )
        for one in self.balances.moves:
            if one.psp_id not in known:
                final = one.kind == "capture" and not self.approved.psp.multicapture
                self._move(one.kind, one.amount_minor, one.psp_id, final=final)

    def _is_known(self, operation: Operation) -> bool:
        """Returns False for an operation that failed before the report, and may have been made again
        since."""
        before = operation.observed_at is not None and operation.observed_at < self.report.observed_at
        return not (operation.external and operation.state in NOT_EXECUTED and before)

    def _record(self, kind: MoveKind, amount_minor: int) -> None:
        """Records the amount under the PSP's ids where those unknown here add up to it, else as one move
        without an id."""
        known = {o.psp_id for o in self.payment.operations.values() if self._is_known(o)}
        unknown = [one for one in self.balances.moves if one.kind == kind and one.psp_id not in known]
        parts: list[tuple[str | None, int]] = [(one.psp_id, one.amount_minor) for one in unknown]
        if sum(minor for _, minor in parts) != amount_minor:
            parts = [(None, amount_minor)]
        over = kind == "capture" and self.balances.held_minor == 0
        for left, (psp_id, minor) in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
            self._move(kind, minor, psp_id, final=over and left == 0)

    def _move(self, kind: MoveKind, minor: int, psp_id: str | None, *, final: bool) -> None:
        impossible = self._impossible_capture(minor) if kind == "capture" else None
        self.payment.record_external_move(
            kind,
            self.approved,
            minor,
            self.cause,
            psp_id=psp_id,
            final=final,
            observed_at=self.report.observed_at,
            reason=f"{_DONE[kind]} at the PSP, without a request of ours",
        )
        _end_retries(self.payment, self.cause)
        if kind == "refund":
            impossible = self._impossible_refund()
        if impossible is not None:
            self.contradict(*impossible)

    def contradict(self, reason: str, until: Until | None = None) -> None:
        self.payment.contradict(self.report, reason, self.cause, about=reason, until=until)

    def _impossible_refund(self) -> tuple[str, Until] | None:
        """Returns why a refund that the PSP has made, and that is therefore recorded, needs an operator, and
        until when. None: it needs none."""
        total = self.payment.totals
        more = total.refunded + total.refunding + total.disputed - total.captured
        if more <= 0:
            return None
        return f"refunded externally: {more} more than was left of what was captured", "sums_hold"

    def _impossible_capture(self, minor: int) -> tuple[str, Until | None] | None:
        """Returns the same for a capture, before it is recorded."""
        total = self.payment.totals
        most = total.authorized + total.authorized * self.approved.psp.overcapture_percent // 100
        if total.released:
            return f"captured {minor} externally of what was recorded as released", None
        if total.captured + minor > most:
            reason = f"captured {total.captured + minor} in all, and only {total.authorized} was authorized"
            return reason, "sums_hold"
        if self.payment.cancel_requested:
            return "captured externally, although the payment was cancelled", "given_back"
        return None


def _take_back(
    payment: Payment, move: Operation, minor: int, report: Report, cause: Cause, *, reason: str
) -> None:
    payment.take_back(move, minor, report.observed_at, reason, cause)
    if (text := broken_sum(payment)) is not None:
        payment.contradict(report, text, cause, about=text, until="sums_hold")
    if payment.cancel_requested and not may_give_back(payment):
        text = (
            f"what was given back externally of a cancelled payment has failed ({move.id}), and so had ours"
        )
        payment.contradict(report, text, cause, about=text, until="given_back")


def may_give_back(payment: Payment) -> bool:
    """Returns False if the PSP refused us a capture, void or refund of what took the payment: AegisPay gives
    nothing back then."""
    approved = payment.approved_attempt
    ours = [o for o in payment.operations.values() if approved is not None and o.target == approved.id]
    return all(o.external or o.state not in NOT_EXECUTED for o in ours)


def _end_retries(payment: Payment, cause: Cause) -> None:
    """Ends retries that would repeat an external move."""
    for waiting in [
        retry.operation for retry in payment.retries.values() if not retry.operation.duplicate_charge
    ]:
        total = payment.totals
        left = {
            "capture": total.authorized - total.captured,
            "void": total.authorized - total.captured,
            "refund": total.captured - total.refunded - total.disputed,
        }
        if not waiting.is_charge_attempt and left[waiting.kind] < waiting.amount.minor:
            payment.end_retries(waiting, "it was done externally, at the PSP", cause)


def release(
    payment: Payment, approved: Operation, cause: Cause, *, reason: str, released_minor: int | None = None
) -> None:
    """Records that the PSP released the hold. `released_minor`: None: all that is left."""
    payment.trigger_event(
        events.AuthorizationExpired,
        operation_id=approved.id,
        released_minor=payment.totals.capturable if released_minor is None else released_minor,
        reason=reason,
        **cause.fields(),
    )
