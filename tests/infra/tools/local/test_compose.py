"""compose.yaml, as far as it can be tried without a Docker engine: each command line of it, with each
setting of it."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from pydantic_settings import BaseSettings

from gateways.registry import ADAPTERS
from infra import settings
from infra.tools.local import accounts, compose_env
from infra.tools.local.subprocesses import Child, Program
from tests.support import ports
from tests.support.processes import responds

ROOT: Final = Path(__file__).parents[4]
COMPOSE: Final = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS: Final = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
PROCESSES: Final = {name: service for name, service in OURS.items() if name != "setup"}

_SETTINGS: Final = {
    "infra.workers.command": settings.CommandWorkerSettings,
    "infra.workers.relay": settings.RelaySettings,
    "infra.workers.timers": settings.TimersSettings,
    "infra.workers.health": settings.HealthWorkerSettings,
    "infra.workers.listener": settings.ListenerSettings,
    "infra.workers.routing": settings.RoutingWorkerSettings,
    "infra.workers.inbox": settings.InboxSettings,
    "infra.workers.gateway": settings.GatewayWorkerSettings,
    "infra.workers.read_models": settings.ReadModelSettings,
    "infra.workers.api": settings.ApiSettings,
    "infra.workers.simulator": settings.SimulatorSettings,
}


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """What `python3 -m infra.tools.local.compose_env` wrote."""
    compose_env.write(tmp_path)
    return dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())


def interpolated(text: object, variables: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+)(:\?[^}]*)?\}", lambda found: variables[found[1]], str(text))


def values(service: dict[str, Any], variables: dict[str, str]) -> dict[str, str]:
    return {name: interpolated(value, variables) for name, value in service["environment"].items()}


def fields(kind: type[BaseSettings]) -> set[str]:
    return {f"AEGISPAY_{name.upper()}" for name in kind.model_fields}


def test_every_process_of_the_design_has_its_service():
    assert {service["command"][-1] for service in PROCESSES.values()} == set(_SETTINGS)


def test_no_service_has_a_setting_that_its_process_does_not_know(variables):
    for name, service in PROCESSES.items():
        unknown = set(values(service, variables)) - fields(_SETTINGS[service["command"][-1]])
        assert not unknown, f"{name}: {unknown}"


def test_every_process_has_a_role_of_its_own_and_not_the_owners(variables):
    roles = [
        re.search(r"//(\w+):", url)[1]
        for service in PROCESSES.values()
        if (url := values(service, variables).get("AEGISPAY_DATABASE_URL"))
    ]

    # Each gateway's worker has the same rights; the simulator, the health worker and the listener use no
    # PostgreSQL.
    assert len(set(roles)) == len(roles) - (len(ADAPTERS) - 1) == len(PROCESSES) - len(ADAPTERS) - 2
    assert "postgres" not in roles


def test_every_gateway_has_its_worker_which_reads_its_own_keys_only(variables):
    workers = {
        values(service, variables)["AEGISPAY_GATEWAY"]: service["secrets"]
        for service in PROCESSES.values()
        if service["command"][-1] == "infra.workers.gateway"
    }

    assert set(workers) == set(ADAPTERS)
    for gateway, secrets in workers.items():
        keys = {f"{account.name}.key" for account in accounts.ACCOUNTS if account.gateway == gateway}
        assert set(secrets) == {"accounts.toml", "return.key"} | keys


def test_the_api_reads_what_webhooks_are_signed_with_and_no_other_key(variables):
    keys = {file for account in accounts.ACCOUNTS for file in account.webhook_secret_files}

    assert set(OURS["api"]["secrets"]) == {"accounts.toml", "return.key"} | keys


def test_every_service_mends_itself_and_tells_whether_it_is_well():
    for name, service in COMPOSE["services"].items():
        if name != "setup":
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] == "CMD", name
            assert not isinstance(service["command"], str) if "command" in service else True


def test_nothing_is_published_beyond_loopback():
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_secret_and_volume_is_declared_and_every_secret_written(variables, tmp_path):
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in COMPOSE["volumes"]
    for secret in COMPOSE["secrets"].values():
        assert (tmp_path / secret["file"]).is_file()


def test_the_passwords_are_written_once(tmp_path):
    first = compose_env.write(tmp_path)
    before = (tmp_path / ".env").read_text()

    assert len(first) == 6 + len(accounts.make_secrets())
    assert compose_env.write(tmp_path) == []
    assert (tmp_path / ".env").read_text() == before
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


@pytest.mark.stack
async def test_every_command_line_starts_and_gets_ready_with_the_settings_of_its_service(
    wide, variables, tmp_path
):
    """The hosts and roles' passwords are the test's; all else is as compose.yaml has it."""
    children = []
    try:
        for name, service in PROCESSES.items():
            children.append(Child(_program(name, service, wide, variables, tmp_path)))
        await asyncio.gather(*(child.ready_within(60) for child in children))
    finally:
        await asyncio.gather(*(child.stop() for child in children))


@pytest.fixture
def wide(environment_of):
    return environment_of(12)


def _program(
    name: str, service: dict[str, Any], environment: Any, variables: dict[str, str], folder: Path
) -> Program:
    env = values(service, variables)
    (metrics_port, port) = ports.free(2)
    ours = {"AEGISPAY_METRICS_PORT": str(metrics_port), "PYTHONPATH": str(ROOT)}
    ours |= {key: str(port) for key in env if key in {"AEGISPAY_API_PORT", "AEGISPAY_SIMULATOR_PORT"}}
    if "AEGISPAY_KAFKA" in env:
        role = re.search(r"//aegispay_(\w+):", env.get("AEGISPAY_DATABASE_URL", "//aegispay_command:"))[1]
        ours |= environment.env(role)
    if "AEGISPAY_ACCOUNTS_FILE" in env:
        ours["AEGISPAY_ACCOUNTS_FILE"] = str(folder / ".compose" / "accounts.toml")
    if "AEGISPAY_RETURN_KEY_FILE" in env:
        ours["AEGISPAY_RETURN_KEY_FILE"] = str(folder / ".compose" / "return.key")
    if "AEGISPAY_FINGERPRINT_KEY_FILE" in env:
        ours["AEGISPAY_FINGERPRINT_KEY_FILE"] = str(folder / ".compose" / "fingerprint.key")
    if "AEGISPAY_SIMULATOR_LEDGER" in env:
        ours["AEGISPAY_SIMULATOR_ACCOUNTS"] = str(folder / ".compose" / "simulator.toml")
        ours["AEGISPAY_SIMULATOR_LEDGER"] = str(folder / "ledger.sqlite")

    async def ready() -> bool:
        return await asyncio.to_thread(responds, f"http://127.0.0.1:{metrics_port}/ready")

    argv = (sys.executable, *service["command"][1:])
    return Program(name, argv, folder / f"{name}.log", ready, env | ours)
