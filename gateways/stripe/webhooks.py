"""Stripe's events. Invariant: nothing is read of a body whose signature is not right."""

from datetime import datetime

from gateways.contract import Hook, HookKeys, HookRefused, Notice


def read(hook: Hook, keys: HookKeys, now: datetime) -> tuple[Notice, ...] | HookRefused:
    return HookRefused("unsigned")
