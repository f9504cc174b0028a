"""Samples of operations whose end a webhook reports: the gateway agent, which samples every call, never sees
them. At some PSPs (Adyen) every sale ends so.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from aggregates.operation import Operation, OperationState
from aggregates.payment import Payment
from commands.messages import RecordOutcome
from commands.samples import LATENCY_MS_MAX, SAMPLES_MAX, OutcomeClass, Sample, SampleBatch

_ENDS: Final[dict[OperationState, OutcomeClass]] = {
    OperationState.APPROVED: "approved",
    OperationState.DECLINED_SOFT: "declined",
    OperationState.DECLINED_HARD: "declined",
}


class AccountSample(NamedTuple):
    """A sample, and the account that it is of."""

    gateway: str
    account: str
    sample: Sample


def state_before(message: object, payment: Payment | None) -> OperationState | None:
    """Returns the state of the operation that a webhook is about, before it is taken. None: the message is no
    webhook's, or its operation has ended or is not known."""
    if payment is None or not isinstance(message, RecordOutcome) or message.source != "webhook":
        return None
    operation = payment.operations.get(message.operation_id)
    return operation.state if operation is not None and operation.open else None


def sample_after(
    message: object, before: OperationState | None, payment: Payment | None
) -> AccountSample | None:
    """Returns the sample of an operation that the webhook has ended. None: it has not. `before`: see
    `state_before`."""
    if before is None or payment is None or not isinstance(message, RecordOutcome):
        return None
    operation = payment.operations[message.operation_id]
    if (outcome := _ENDS.get(operation.state)) is None:
        return None
    sample = Sample(
        kind=operation.kind,
        segment=payment.segment(operation.kind),
        outcome=outcome,
        latency_ms=_latency_ms(operation),
        at=message.observed_at,
        # An unknown call was counted as such; one that is pending counts for the circuit alone.
        late="query" if before is OperationState.UNKNOWN else None,
    )
    return AccountSample(operation.psp.gateway, operation.psp.account, sample)


def _latency_ms(operation: Operation) -> float | None:
    """Returns how long the PSP took to respond to the last call, as every other sample has it. When the
    webhook came says how the PSP sends webhooks, and for how long a customer thought."""
    call_ms = operation.call_ms
    return call_ms if call_ms is not None and 0 <= call_ms <= LATENCY_MS_MAX else None


def batches(samples: Iterable[AccountSample]) -> Iterator[SampleBatch]:
    """Yields the samples in batches of one account each, in order."""
    by_account: defaultdict[tuple[str, str], list[Sample]] = defaultdict(list)
    for gateway, account, sample in samples:
        by_account[gateway, account].append(sample)
    for (gateway, account), some in by_account.items():
        for start in range(0, len(some), SAMPLES_MAX):
            part = tuple(some[start : start + SAMPLES_MAX])
            yield SampleBatch(gateway=gateway, account=account, samples=part)
