from pathlib import Path

from gateways.registry import ADAPTERS
from infra.tools.local import processes
from infra.tools.local.settings import StackSettings

_SHARED = {
    "kafka": "127.0.0.1:9092",
    "partitions": "4",
    "database_schema": "aegispay",
    "accounts_file": "accounts.toml",
    "api_port": "8000",
    "public_url": "http://127.0.0.1:8000",
    "return_key_file": "return.key",
    "fingerprint_key_file": "fingerprint.key",
    "simulator_port": "8200",
    "simulator_ledger": "ledger.sqlite",
    "simulator_accounts": "simulator.toml",
    "simulator_latency_ms": "20",
    "hooks": "",
}


def _environments(settings: StackSettings) -> dict[str, dict[str, str]]:
    made = {}
    for name, kind in processes.names(settings):
        url = f"postgresql://aegispay_{kind.role}:secret@127.0.0.1/aegispay" if kind.role else None
        program = processes.program(
            name, kind, metrics_port=1, shared=_SHARED, database_url=url, logs=Path("logs")
        )
        assert "secret" not in " ".join(program.argv)
        made[name] = dict(program.env)
    return made


def test_the_users_folders_come_behind_our_code_since_hooks_may_be_in_them():
    ours = processes.python_env({})["PYTHONPATH"]

    assert processes.python_env({"PYTHONPATH": "/srv/hooks"})["PYTHONPATH"] == f"{ours}:/srv/hooks"


def test_several_of_one_kind_have_names_of_their_own():
    settings = StackSettings(command_workers=3, relays=2)

    found = [name for name, _ in processes.names(settings)]

    assert [name for name in found if name.startswith("command")] == ["command", "command-2", "command-3"]
    assert [name for name in found if name.startswith("relay")] == ["relay", "relay-2"]


def test_each_listener_hook_has_a_process_of_its_own_and_without_one_there_is_none():
    hooks = "tests.support.hooks:ledger,tests.support.hooks:picky"

    with_hooks = _environments(StackSettings(hooks=hooks))

    named = {name: env["AEGISPAY_LISTENER"] for name, env in with_hooks.items() if "listener" in name}
    assert named == {"listener-ledger": "ledger", "listener-picky": "picky"}
    assert not [name for name in _environments(StackSettings()) if "listener" in name]


def test_each_process_has_its_own_role():
    roles = {
        name: env.get("AEGISPAY_DATABASE_URL", "none").partition(":secret")[0].partition("aegispay_")[2]
        or "none"
        for name, env in _environments(StackSettings()).items()
    }

    assert roles == {
        "simulator": "none",
        "gateway": "gateway",
        **{f"gateway-{gateway}": "gateway" for gateway in ADAPTERS if gateway != "stripe"},
        "relay": "relay",
        "command": "command",
        "timers": "timers",
        "health": "none",
        "routing": "routing",
        "inbox": "inbox",
        "read-models": "read_models",
        "api": "api",
    }


def test_only_the_simulator_gets_its_accounts():
    names = [
        name for name, env in _environments(StackSettings()).items() if "AEGISPAY_SIMULATOR_ACCOUNTS" in env
    ]

    assert names == ["simulator"]


def test_only_who_sends_customers_away_and_who_receives_them_have_the_key_of_the_way_back():
    names = [
        name for name, env in _environments(StackSettings()).items() if "AEGISPAY_RETURN_KEY_FILE" in env
    ]

    assert {name.partition("-")[0] for name in names} == {"gateway", "api"}
    assert len(names) == len(ADAPTERS) + 1
