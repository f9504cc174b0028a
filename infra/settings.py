"""Settings, from the environment (`AEGISPAY_…`), each process reading its own small class and nothing else."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, HttpUrl, PostgresDsn, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="AEGISPAY_", extra="ignore", frozen=True)


class ProcessSettings(_Settings):
    """Of every long-running process."""

    log_format: Literal["json", "pretty"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="/metrics, /live and /ready; 0: a free one"
    )
    metrics_host: str = "127.0.0.1"
    environment: Literal["production", "development", "test"] = "production"
    crash_points: str = Field(default="", description="Only in `test`: see commands/crash_points.py")
    crash_marks: Path = Field(default=Path(), description="Only in `test`: the folder of what has fired")
    clock_offset_s: str = Field(default="", description="Only in `test`: see infra/clock.py")

    @field_validator("crash_points", "clock_offset_s")
    @classmethod
    def _only_in_tests(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("environment") != "test":
            raise ValueError("only where AEGISPAY_ENVIRONMENT is test; a real process must not have it")
        return value


class KafkaSettings(_Settings):
    kafka: str = Field(description="Bootstrap servers, host:port, with commas")
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    partitions: int = Field(
        default=12, ge=1, le=1000, description="Of every topic keyed by payment; never change it"
    )


class DatabaseSettings(_Settings):
    """`database_url` carries the role of this process: see infra/migrations/roles.sql."""

    database_url: PostgresDsn
    database_schema: str = Field(default="aegispay", pattern=r"^[a-z_][a-z0-9_]{0,40}$")

    @property
    def read_schema(self) -> str:
        return f"{self.database_schema}_read"


class CommandWorkerSettings(ProcessSettings, KafkaSettings, DatabaseSettings):
    batch_max: int = Field(default=500, ge=1, le=5000, description="Records decided in one transaction")
    accounts_file: Path = Field(description="The PSP accounts of each merchant, TOML")
    pause_when_requests_wait_s: float = Field(
        default=20.0, gt=0, description="Age of a gateway's oldest request"
    )


class RelaySettings(ProcessSettings, KafkaSettings, DatabaseSettings):
    page: int = Field(default=500, ge=1, le=5000)


class TimersSettings(ProcessSettings, KafkaSettings, DatabaseSettings):
    pass


class ReturnSettings(_Settings):
    """Of what sends customers to a PSP and of what receives them when they come back: the same in both."""

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


class GatewayWorkerSettings(ReturnSettings, ProcessSettings, KafkaSettings, DatabaseSettings):
    accounts_file: Path
    gateway: str = "stripe"
    calls_max: int = Field(default=200, ge=1, description="In flight at once, in this process")


class ReadModelSettings(ProcessSettings, KafkaSettings, DatabaseSettings):
    pass


class InboxSettings(ProcessSettings, KafkaSettings, DatabaseSettings):
    pass


class ApiSettings(ReturnSettings, ProcessSettings, KafkaSettings, DatabaseSettings):
    accounts_file: Path | None = Field(
        default=None, description="The PSP accounts, for their webhooks' secrets. Without it none are taken"
    )
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)


class SimulatorSettings(ProcessSettings):
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
