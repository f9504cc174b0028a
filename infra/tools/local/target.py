"""The settings with which a tool reaches the local stack."""

from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic_settings import BaseSettings

from infra.settings import read
from infra.tools.local.settings import StackSettings
from infra.tools.local.state import StackState

MERCHANT: Final = "demo"
"""The merchant to whom the local stack's API key belongs."""

S = TypeVar("S", bound=BaseSettings)


def stack_settings(data: Path | None) -> StackSettings:
    """Returns the stack's settings, with `data`, or else AEGISPAY_DATA, or else the default folder. Raises
    `Misconfigured`."""
    return read(lambda: StackSettings(data=data) if data is not None else StackSettings())


def of_stack(kind: type[S], stack: StackState, role: Literal["audit", "admin"]) -> S:
    """Returns settings of this kind that reach the running stack, with the rights of `role`."""
    values: dict[str, Any] = {
        "kafka": stack.kafka,
        "topic_prefix": stack.topic_prefix,
        "partitions": stack.partitions,
        "one_node": True,
        "database_url": stack.database_url if role == "audit" else stack.database_admin_url,
        "database_schema": stack.database_schema,
        "simulator_ledger": stack.simulator_ledger,
    }
    return kind(**values)
