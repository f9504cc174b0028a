"""The settings of the local stack, as AEGISPAY_… variables."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.hooks import discovery
from infra.settings import HookSettings
from infra.tools.local import folders


class StackSettings(BaseSettings):
    """The folder, ports and numbers of processes of a local stack."""

    model_config = SettingsConfigDict(
        env_prefix="AEGISPAY_", extra="ignore", frozen=True, env_ignore_empty=True
    )

    data: Path = Field(default_factory=folders.default_data_folder)

    @field_validator("data")
    @classmethod
    def _whole(cls, value: Path) -> Path:
        """Makes the path absolute, so that what is printed holds in any folder."""
        return value.absolute()

    partitions: int = Field(default=4, ge=1, le=1000)
    # 0: a free one, or that of the last start in the same folder while it is free.
    postgres_port: int = Field(default=0, ge=0, le=65535)
    kafka_port: int = Field(default=0, ge=0, le=65535)
    kafka_java_options: str = Field(default="", description="For its Java, with spaces between them")
    api_port: int = Field(default=0, ge=0, le=65535)
    simulator_port: int = Field(default=0, ge=0, le=65535)
    simulator_latency_ms: float = Field(default=20.0, ge=0)
    hooks: str = Field(default="", description="As of the processes: docs/hooks.md")
    command_workers: int = Field(default=1, ge=1, le=64)
    gateway_workers: int = Field(default=1, ge=1, le=64)
    all_gateways: bool = Field(default=True, description="False: the first PSP only")
    webhooks: bool = Field(default=True, description="Whether the simulator's PSPs send them")
    relays: int = Field(default=1, ge=1, le=8)
    read_model_workers: int = Field(default=1, ge=1, le=64)

    @property
    def listeners(self) -> tuple[str, ...]:
        """The listener hooks by name: those of AEGISPAY_HOOKS and of installed packages. Raises
        `Misconfigured`."""
        return tuple(one.name for one in discovery.installed(HookSettings(hooks=self.hooks)).listeners)
