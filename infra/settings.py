"""Settings from the environment (`AEGISPAY_…`). Each process reads its own small class and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

from pydantic import (
    Field,
    HttpUrl,
    PostgresDsn,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from commands import wording
from infra.errors import Misconfigured

S = TypeVar("S", bound=BaseSettings)
_EXAMPLES: Final = {
    "DATABASE_URL": "postgresql://aegispay:its_password@127.0.0.1:5432/aegispay",
    "KAFKA": "127.0.0.1:9092",
}


def read(kind: Callable[[], S]) -> S:
    """Reads settings from the environment. Raises `Misconfigured`: a line for each setting that is missing
    or makes no sense."""
    try:
        return kind()
    except ValidationError as invalid:
        raise Misconfigured(
            "\n".join(map(_line, invalid.errors(include_url=False, include_input=False)))
        ) from None


def _line(error: ErrorDetails) -> str:
    variable = "_".join(map(str, error["loc"])).upper()
    if not variable:
        # A rule about several of them names them itself.
        return wording.sentence(error)
    example = _EXAMPLES.get(variable)
    if error["type"] == "missing":
        what = "it has to be set" + (f", e.g. to {example}" if example else "")
    elif example is not None and error["type"].startswith("url"):
        what = f"must be a whole address, e.g. {example}"
    else:
        what = wording.sentence(error)
    return f"AEGISPAY_{variable}: {what}"


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="AEGISPAY_", extra="ignore", frozen=True, env_ignore_empty=True
    )


class EnvironmentSettings(_Settings):
    """The kind of this installation: `production` refuses weak servers, `test` allows failpoints."""

    environment: Literal["production", "development", "test"] = "production"


class ProcessSettings(EnvironmentSettings):
    """Settings of every long-running process."""

    log_format: Literal["json", "pretty"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="/metrics, /live and /ready; 0: a free one"
    )
    metrics_host: str = "127.0.0.1"
    failpoints: str = Field(default="", description="Only in `test`: see commands/failpoints.py")
    failpoint_marks: Path = Field(default=Path(), description="Only in `test`: the folder of what has fired")
    clock_offset_s: str = Field(default="", description="Only in `test`: see infra/process/clock.py")

    @field_validator("failpoints", "clock_offset_s")
    @classmethod
    def _only_in_tests(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("environment") != "test":
            raise ValueError("only where AEGISPAY_ENVIRONMENT is test; a real process must not have it")
        return value


class KafkaSettings(EnvironmentSettings):
    """The cluster and how its topics are named and made."""

    kafka: str = Field(description="Bootstrap servers, host:port, with commas")
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    partitions: int = Field(
        default=12, ge=1, le=1000, description="Of every topic keyed by payment; never change it"
    )
    replication_factor: int = Field(
        default=3, ge=1, le=32767, description="Of the topics that `aegispay topics` creates"
    )
    one_node: bool = Field(
        default=False,
        description="Kafka is one broker, whose disk holds the only copy: topics get one replica, also in production",
    )
    session_timeout_s: float = Field(
        default=6.0, ge=1, le=60, description="After which a silent worker's partitions go to another"
    )

    @field_validator("kafka")
    @classmethod
    def _of_hosts_and_ports(cls, value: str) -> str:
        for one in value.split(","):
            host, colon, port = one.strip().rpartition(":")
            if not (host if colon else port) or (colon and not (port.isdecimal() and 0 < int(port) < 65536)):
                raise ValueError(
                    f"must be hosts with their ports, e.g. {_EXAMPLES['KAFKA']}, and commas between"
                )
        return value

    @property
    def heartbeat_every_s(self) -> float:
        """The interval between a consumer's heartbeats to its group, in s: six in a session."""
        return self.session_timeout_s / 6

    @property
    def copies(self) -> tuple[int, int]:
        """The replicas of a topic that is created, and how many of them must be in sync for a write."""
        return (1, 1) if self.one_node else (self.replication_factor, min(2, self.replication_factor))


class DatabaseSettings(_Settings):
    """The database. `database_url` carries the role of this process: see
    infra/postgres/migrations/roles.sql."""

    database_url: PostgresDsn
    database_schema: str = Field(default="aegispay", pattern=r"^[a-z_][a-z0-9_]{0,40}$")

    @property
    def read_schema(self) -> str:
        """The schema of the read models, beside the one of the event log."""
        return f"{self.database_schema}_read"


class HookSettings(_Settings):
    """Settings of the processes that call hooks: docs/hooks.md."""

    hooks: str = Field(
        default="", description="Hooks beside those of installed packages: module:name, with commas between"
    )
    hook_threads: int = Field(
        default=32, ge=1, le=500, description="Threads for hooks that are not async, in this process"
    )

    @property
    def hook_places(self) -> list[str]:
        """Where the hooks of this setting are."""
        return [place for one in self.hooks.split(",") if (place := one.strip())]


class CommandWorkerSettings(HookSettings, ProcessSettings, KafkaSettings, DatabaseSettings):
    """Settings of `infra.workers.command`."""

    batch_max: int = Field(default=500, ge=1, le=5000, description="Records decided in one transaction")
    accounts_file: Path = Field(description="The PSP accounts of each merchant, TOML")
    fingerprint_key_file: Path | None = Field(
        default=None,
        description="The key of the marks by which a declined card is known again, 32 bytes or more, the same for all "
        "command workers; without it the schemes' limits on retries are not kept",
    )
    pause_when_requests_wait_s: float = Field(
        default=20.0, gt=0, description="Age of a gateway's oldest request"
    )


class RelaySettings(ProcessSettings, KafkaSettings, DatabaseSettings):
    """Settings of `infra.workers.relay`. `page`: how many events it publishes at once, at most."""

    page: int = Field(default=500, ge=1, le=5000)


class TimersSettings(ProcessSettings, KafkaSettings, DatabaseSettings):
    """Settings of `infra.workers.timers`."""


class RoutingWorkerSettings(ProcessSettings, KafkaSettings, DatabaseSettings):
    """Settings of `infra.workers.routing`."""


class ReturnSettings(_Settings):
    """Settings of the way back from a PSP: the same in the gateway worker, which sends customers there, and
    in the API."""

    public_url: HttpUrl | None = Field(
        default=None,
        description="Under which customers reach the API. Without it a challenge has no page to come back to",
    )
    return_key_file: Path | None = Field(
        default=None, description="The key that signs the tokens of the return page, 32 bytes or more"
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.public_url is None) != (self.return_key_file is None):
            raise ValueError("AEGISPAY_PUBLIC_URL and AEGISPAY_RETURN_KEY_FILE are set together")
        if self.public_url is not None and (self.public_url.query or self.public_url.fragment):
            raise ValueError("AEGISPAY_PUBLIC_URL is an address without ? and #")
        return self


class GatewayWorkerSettings(HookSettings, ReturnSettings, ProcessSettings, KafkaSettings, DatabaseSettings):
    """Settings of `infra.workers.gateway`."""

    accounts_file: Path = Field(description="The PSP accounts, TOML")
    gateway: str = Field(description="Whose requests this worker reads, as gateways/registry.py names it")
    calls_max: int = Field(default=200, ge=1, description="In flight at once, in this process")


class HealthWorkerSettings(ProcessSettings, KafkaSettings):
    """Settings of `infra.workers.health`. All of its processes need the same ones: docs/routing.md."""

    circuit_failures: int = Field(default=5, ge=1, description="In a row, that open a circuit")
    circuit_failure_rate: float = Field(
        default=0.5, gt=0, le=1, description="Of the last 100 calls, that opens a circuit"
    )
    circuit_rate_from: int = Field(default=20, ge=1, le=100, description="Calls from which the rate counts")
    circuit_open_s: float = Field(default=60.0, gt=0, description="For which a circuit is open at first")
    circuit_growth: float = Field(
        default=2.0, ge=1, le=10, description="By which the open time grows while it fails again"
    )
    circuit_open_max_s: float = Field(default=900.0, gt=0, description="The longest open time")
    circuit_successes: int = Field(default=2, ge=1, description="Of probes, that close a circuit")
    circuit_probes: float = Field(
        default=3.0, ge=1, description="About so many probe a half-open circuit, over all workers"
    )


class ListenerSettings(HookSettings, ProcessSettings, KafkaSettings):
    """Settings of `infra.workers.listener`."""

    listener: str = Field(default="", description="Which listener hook it runs; empty: the only one")


class ReadModelSettings(ProcessSettings, KafkaSettings, DatabaseSettings):
    """Settings of `infra.workers.read_models`."""


class InboxSettings(ProcessSettings, KafkaSettings, DatabaseSettings):
    """Settings of `infra.workers.inbox`."""

    accounts_file: Path = Field(
        description="The PSP accounts: some PSPs' webhooks are confirmed at the PSP before they are taken"
    )
    webhooks_kept_days: int = Field(
        default=400, ge=45, le=36_500, description="How long webhooks are kept that are done with"
    )


class ApiSettings(ReturnSettings, ProcessSettings, KafkaSettings, DatabaseSettings):
    """Settings of `infra.workers.api`."""

    accounts_file: Path | None = Field(
        default=None,
        description="The PSP accounts, for their webhooks' secrets and for the PSP that a token is one of. Without it no "
        "webhook is taken, and the command worker alone refuses a token of another PSP than the merchant's first",
    )
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)


class SimulatorSettings(ProcessSettings):
    """Settings of `infra.workers.simulator`: the simulated PSPs, which need neither Kafka nor PostgreSQL."""

    simulator_host: str = "127.0.0.1"
    simulator_port: int = Field(default=8200, ge=0, le=65535)
    simulator_ledger: Path = Field(description="The SQLite file of what it charged")
    simulator_latency_ms: float = Field(default=20.0, ge=0)
    simulator_accounts: Path | None = Field(
        default=None,
        description="Its accounts, TOML; without it a well-known one of each PSP: docs/simulator.md",
    )
    simulator_webhook_pace: float = Field(
        default=1.0, gt=0, description="By what the gaps between the tries of a webhook are multiplied"
    )
