"""The gateway agent's port of lifecycle hooks."""

from typing import Protocol

from commands.messages import Outcome
from gateways.agent.ports import StepResult
from gateways.agent.request import Request


class OperationHooks(Protocol):
    """The lifecycle hooks that are installed."""

    async def before(self, request: Request) -> Outcome | None:
        """Consults the hooks before an operation is sent for the first time. Returns the NOT_SENT with which
        one denies it; `unreached` where it gave no verdict and fails closed. None: it may be sent."""
        ...

    def after(self, request: Request, result: StepResult) -> None:
        """Shows the hooks an outcome that was reported. Never waits for them."""
        ...


class NoHooks:
    """No lifecycle hook is installed."""

    async def before(self, request: Request) -> None:
        """Denies nothing."""

    def after(self, request: Request, result: StepResult) -> None:
        """Shows it to nobody."""
