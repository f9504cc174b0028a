"""A payment of which all four sources tell the same: each test then makes one of them wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4, uuid5

from aggregates import disputes, merchant_commands, outcomes
from aggregates.decision import Cause, Refused
from aggregates.operation import Operation, OperationState
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import DisputeState
from commands.ids import fingerprint, payment_id
from commands.messages import (
    CancelPayment,
    CapturePayment,
    CreatePayment,
    MerchantCommand,
    RefundPayment,
    VoidPayment,
)
from gateways.simulator.core.ledger import Disputed, Movement
from infra.tools.audit.facts import Command, CommandKey, Facts, Finding, Recorded, SentCommands, Shown
from infra.tools.audit.judge import judge
from infra.tools.audit.read_models import columns, operation_columns
from tests.support.builders import (
    MULTICAPTURE,
    NOW,
    ROUTE,
    captured,
    cause,
    create_payment,
    payment,
    report,
    word,
)

MERCHANT = "demo"
PAYMENT = payment_id(MERCHANT, "order-1")
PLACE = "payments.commands/0/"
_MOVES = {
    "authorize": "authorized",
    "sale": "captured",
    "capture": "captured",
    "void": "released",
    "refund": "refunded",
}


@dataclass
class Truth:
    """`life` is lived by the methods; `facts` are then what the four sources say of it."""

    route: Route = ROUTE
    life: Payment = field(default_factory=payment)
    creates: list[CreatePayment] = field(default_factory=lambda: [create_payment()])
    commands: list[MerchantCommand] = field(default_factory=list)
    refused: set[UUID] = field(default_factory=set)
    movements: list[Movement] = field(default_factory=list)

    def command(self, kind: type[Any], **content: Any) -> MerchantCommand:
        command_id = uuid5(PAYMENT, str(len(self.commands)))
        made: MerchantCommand = kind(
            command_id=command_id, payment_id=PAYMENT, merchant_id=MERCHANT, **content
        )
        self.commands.append(made)
        return made

    def ask(self, kind: type[Any], **content: Any) -> None:
        """Decided, and refused where the rules say no."""
        command = self.command(kind, **content)
        why = cause(NOW + timedelta(minutes=1), command.command_id, fingerprint=fingerprint(command))
        try:
            self._decide(command, why)
        except Refused:
            self.refused.add(command.command_id)

    def _decide(self, command: MerchantCommand, why: Cause) -> None:
        match command:
            case CapturePayment():
                merchant_commands.capture(self.life, command.amount_minor, why, final=command.final)
            case VoidPayment():
                merchant_commands.void(self.life, why)
            case RefundPayment():
                merchant_commands.refund(self.life, command.amount_minor, why, reason=None)
            case CancelPayment():
                merchant_commands.cancel(self.life, why)
            case _:
                raise AssertionError(command)

    def tell(self, name: str, state: OperationState = OperationState.APPROVED, **other: Any) -> None:
        """The PSP's report of an operation."""
        operation = self.life.operations[name]
        fields = {"psp_id": psp_id(operation), "amount_minor": operation.amount.minor}
        outcomes.take(
            self.life,
            report(name, state, **fields | other),
            self.route,
            cause(NOW + timedelta(minutes=1)),
        )

    def move(self, name: str, amount_minor: int | None = None, **other: Any) -> None:
        """The PSP does it, whatever it reports."""
        operation = self.life.operations[name]
        self.movements.append(movement(operation, amount_minor, **other))

    def done(self, *names: str) -> None:
        for name in names or (list(self.life.operations)[-1],):
            self.tell(name)
            self.move(name)

    @property
    def facts(self) -> Facts:
        sent_commands = SentCommands(sent(self.creates), sent(self.commands, first=len(self.creates)))
        recorded = Recorded(self.life.version, self.life, customer_id="customer-1")
        return Facts(
            sent_commands, recorded, frozenset(self.refused), None, shown(self.life), list(self.movements)
        )


def sent(
    commands: Sequence[CreatePayment | MerchantCommand], first: int = 0, **other: Any
) -> dict[CommandKey, Command]:
    """As they lie on Kafka from the offset `first`, read and not put aside."""
    found: dict[CommandKey, Command] = {}
    for number, command in enumerate(commands, first):
        given = fingerprint(command)
        fields: dict[str, Any] = {
            "amount_minor": getattr(command, "amount_minor", None),
            "currency": getattr(command, "currency", None),
            "read": True,
            "put_aside": False,
        }
        place = f"{PLACE}{number}"
        one = Command(command.command_id, command.type, place, given, **fields | other)
        found[command.command_id, given] = one
    return found


def psp_id(operation: Operation) -> str | None:
    if operation.is_charge_attempt:
        return f"pi_{operation.ordinal}"
    return f"re_{operation.ordinal}" if operation.kind == "refund" else None


def movement(operation: Operation, amount_minor: int | None = None, **other: Any) -> Movement:
    target = operation.target or operation.id
    fields: dict[str, Any] = {
        "gateway": "stripe",
        "kind": _MOVES[operation.kind],
        "account": operation.psp.account,
        "psp_id": psp_id(operation) or "ch_1",
        "intent_id": f"pi_{target.rpartition('-')[2][1:]}",
        "reference": operation.id,
        "intent_reference": target,
        "amount": Decimal(operation.amount.minor if amount_minor is None else amount_minor).scaleb(-2),
        "currency": operation.amount.currency,
        "at": NOW,
    }
    return Movement(**fields | other)


def shown(life: Payment) -> Shown:
    """As the read models should; that the real ones do is tested with them."""
    operations = {name: operation_columns(operation) for name, operation in life.operations.items()}
    return Shown(life.version, False, columns(life, "customer-1"), operations)


def sold() -> Truth:
    """1099 by one sale."""
    truth = Truth(life=captured())
    truth.move(name("s1"))
    return truth


def held() -> Truth:
    """1099 authorized, at an account that takes several captures."""
    truth = Truth(MULTICAPTURE, payment(MULTICAPTURE, capture="manual"))
    truth.done(name("a1"))
    return truth


def lived() -> Truth:
    """Authorized, captured twice, the rest voided, a part refunded; and one refund too much was refused."""
    truth = held()
    for amount in (500, 400):
        truth.ask(CapturePayment, amount_minor=amount)
        truth.done()
    truth.ask(VoidPayment)
    truth.done()
    truth.ask(RefundPayment, amount_minor=300)
    truth.done()
    truth.ask(RefundPayment, amount_minor=601)
    return truth


def name(short: str) -> str:
    return f"{PAYMENT.hex}-{short}"


def verdict(facts: Facts) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in judge(facts):
        found.setdefault(finding.kind, []).append(finding.reason)
    return found


def doubts(facts: Facts) -> list[Finding]:
    return [finding for finding in judge(facts) if finding.kind == "in_doubt"]


def without(truth: Truth, short: str) -> None:
    truth.movements = [one for one in truth.movements if one.reference != name(short)]


def change(truth: Truth, short: str, **other: Any) -> None:
    truth.movements = [
        replace(one, **other) if one.reference == name(short) else one for one in truth.movements
    ]


def change_commands(commands: dict[CommandKey, Command], **other: Any) -> None:
    """The last of them."""
    key = list(commands)[-1]
    commands[key] = replace(commands[key], **other)


def bank(taken: str, dispute_id: str = "dp_1", currency: str = "EUR") -> Disputed:
    """The amount taken according to the ledger."""
    return Disputed("stripe", dispute_id, name("s1"), Decimal(taken), currency, NOW)


TAKEN = {"inquiry": "0", "opened": "10.99", "won": "0", "lost": "10.99", "closed": "0"}


def disputed(state: DisputeState, amount_minor: int = 1099) -> Truth:
    truth = sold()
    dispute = word(truth.life, state, amount_minor)
    disputes.take(truth.life, dispute, cause(NOW, uuid4()))
    return truth


def beside_the_bank(state: DisputeState, amount_minor: int = 1099, taken: str = "10.99") -> Facts:
    facts = disputed(state, amount_minor).facts
    facts.disputed.append(bank(taken))
    return facts
