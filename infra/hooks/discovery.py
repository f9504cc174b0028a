"""Finds the installed hooks: those of the entry point group `aegispay.hooks`, and those that AEGISPAY_HOOKS
names. A hook that cannot be loaded stops the process at its start.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, TypeVar, get_args

from commands.hooks import AnyHook, FraudCheck, Hook, Lifecycle, Listener, PreValidation, Routing
from infra.errors import Misconfigured
from infra.settings import HookSettings

GROUP: Final = "aegispay.hooks"

H = TypeVar("H", bound=Hook)


@dataclass(frozen=True, slots=True)
class Hooks:
    """The installed hooks, each kind in the order in which they run."""

    pre_validation: tuple[PreValidation, ...] = ()
    fraud: tuple[FraudCheck, ...] = ()
    routing: tuple[Routing, ...] = ()
    lifecycle: tuple[Lifecycle, ...] = ()
    listeners: tuple[Listener, ...] = ()


def installed(settings: HookSettings) -> Hooks:
    """Loads every hook. Raises `Misconfigured`, naming the hook and what to mend."""
    places = {one.value: f"entry point {one.name}" for one in entry_points(group=GROUP)}
    places |= dict.fromkeys(settings.hook_places, "AEGISPAY_HOOKS")
    loaded = [(place, _load(place, source)) for place, source in sorted(places.items())]
    _refuse_namesakes(loaded)
    hooks = [hook for _, hook in loaded]
    return Hooks(
        pre_validation=_of(PreValidation, hooks),
        fraud=_of(FraudCheck, hooks),
        routing=_of(Routing, hooks),
        lifecycle=_of(Lifecycle, hooks),
        listeners=_of(Listener, hooks),
    )


def _of(kind: type[H], hooks: Iterable[Hook]) -> tuple[H, ...]:
    chosen = [one for one in hooks if isinstance(one, kind)]
    return tuple(sorted(chosen, key=lambda one: (one.order, one.name)))


def _refuse_namesakes(loaded: list[tuple[str, AnyHook]]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for place, hook in loaded:
        other = seen.setdefault((hook.KIND, hook.name), place)
        if other != place:
            text = f"{other} and {place} are both the {hook.KIND} hook {hook.name}: give one another name"
            raise Misconfigured(text)


def _load(place: str, source: str) -> AnyHook:
    where = f"hook {place} ({source})"
    module, colon, attribute = place.partition(":")
    if not (module and colon and attribute):
        raise Misconfigured(f"{where}: write module:name, such as shop.hooks:velocity")
    found = _resolved(where, module.strip(), attribute.strip())
    if not isinstance(found, get_args(AnyHook)) and callable(found):
        # A function that makes the hook, from settings of its own say.
        found = _made(where, found)
    if not isinstance(found, get_args(AnyHook)):
        kinds = ", ".join(kind.__name__ for kind in get_args(AnyHook))
        raise Misconfigured(f"{where}: it is a {type(found).__name__}, and has to be one of {kinds}")
    hook: AnyHook = found
    return hook


def _resolved(where: str, module: str, attribute: str) -> Any:
    try:
        found: Any = import_module(module)
    except Exception as error:
        raise Misconfigured(f"{where}: {module} cannot be imported: {_in_words(error)}") from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise Misconfigured(f"{where}: {module} has no {attribute}")
        found = getattr(found, name)
    return found


def _made(where: str, function: Any) -> Any:
    try:
        return function()
    except Exception as error:
        raise Misconfigured(f"{where}: it could not be made: {_in_words(error)}") from error


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
