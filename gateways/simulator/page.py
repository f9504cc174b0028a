"""The page at `/`: which PSPs there are, how each is reached, and which test values do what."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from html import escape

from aiohttp import web

from gateways.simulator.accounts import Account, Accounts
from gateways.simulator.psp import Entry, Psp

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:.5em 0 1.5em}td,th{border:1px solid #ccc;padding:.2em .6em;"
    "text-align:left;vertical-align:top}code{background:#f4f4f4;padding:0 .2em}"
)
_CONTROL = """<h2 id=control>Control</h2>
<p>On loopback only: <code>POST /_simulator</code> with JSON. <code>gateway</code> names one PSP; without it all are meant.
Fields: <code>latency_ms</code> (a number, or <code>{"p50_ms", "p99_ms", "seed"}</code>), <code>search_lag_s</code>,
<code>down_s</code> with <code>down</code> <code>refusing</code> or <code>failing</code>, <code>faults</code>,
<code>webhooks</code>. The answer says how often each fault hit, and how many webhooks are waiting, sent, lost and given
up. All of it is in docs/simulator.md.</p>"""


def page(psps: Sequence[Psp], accounts: Accounts) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def show(request: web.Request) -> web.StreamResponse:
        return web.Response(text=html(psps, accounts, str(request.url.origin())), content_type="text/html")

    return show


def html(psps: Sequence[Psp], accounts: Accounts, url: str) -> str:
    index = "".join(
        f"<tr><td><a href='#{psp.name}'>{escape(psp.title)}</a><td>{escape(psp.version)}"
        f"<td><code>{escape(url)}/{psp.name}</code><td>{escape(', '.join(a.name for a in accounts.of(psp.name)))}"
        for psp in psps
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Simulated PSPs</title><style>{_STYLE}</style>"
        "<h1>Simulated PSPs</h1><p>To develop and test against. No money moves.</p>"
        f"<table><tr><th>PSP<th>version<th>base URL<th>accounts{index}</table>"
        f"{''.join(_psp(psp, accounts, url) for psp in psps)}{_CONTROL}</html>"
    )


def _psp(psp: Psp, accounts: Accounts, url: str) -> str:
    shown = accounts.of(psp.name)
    parts = [
        f"<h2 id={psp.name}>{escape(psp.title)}</h2>",
        f"<p>Base URL <code>{escape(url)}/{psp.name}</code>. {escape(psp.credentials)}</p>",
        _secrets(shown) if accounts.well_known else "",
        f"<p>Webhooks: {escape(psp.webhooks)}</p>",
        *(f"<h3>{escape(group.title)}</h3>{_table(group.entries)}" for group in psp.groups),
    ]
    if psp.options:
        options = [Entry(name, option.meaning) for name, option in psp.options.items()]
        parts.append(f"<h3>Options of an account</h3>{_table(options)}")
    if psp.differs:
        items = "".join(f"<li>{escape(one)}" for one in psp.differs)
        parts.append(f"<h3>Where it differs from {escape(psp.title)}</h3><ul>{items}</ul>")
    return "".join(parts)


def _secrets(accounts: Iterable[Account]) -> str:
    """Of accounts that anybody may know."""
    entries = []
    for one in accounts:
        known = {
            "login": one.login,
            "secret": one.secret,
            "webhook secret": one.webhook_secret,
            **one.options,
        }
        entries += [Entry(f"{one.name}: {name}", value) for name, value in known.items() if value]
    return f"<h3>Its account</h3>{_table(entries)}"


def _table(entries: Iterable[Entry]) -> str:
    rows = "".join(f"<tr><td><code>{escape(e.value)}</code><td>{escape(e.effect)}" for e in entries)
    return f"<table>{rows}</table>"
