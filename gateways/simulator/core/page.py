"""The page at `/`: lists the PSPs, the base URL of each, and every test value with its effect."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from html import escape

from aiohttp import web

from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.psp import Entry, Psp

_STYLE = (
    ":root{color-scheme:light dark;--ink:#1b1b1f;--paper:#fff;--line:#c9c9d1;--code:#f1f1f5;--link:#1f4fd8;--faint:#5b5b66}"
    "@media(prefers-color-scheme:dark){:root{--ink:#ececf1;--paper:#17171b;--line:#4a4a55;--code:#2a2a31;"
    "--link:#8fb0ff;--faint:#a9a9b5}}"
    "body{font:1rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;"
    "margin:2rem auto;padding:0 1rem;overflow-wrap:break-word}a{color:var(--link)}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem;max-width:100%}"
    "td,th{border:1px solid var(--line);padding:.25rem .6rem;text-align:left;vertical-align:top}"
    # A long value may break anywhere, a word of a sentence nowhere.
    "code{background:var(--code);padding:0 .2em;overflow-wrap:anywhere}.psps code{display:inline-block}"
    # A row of four cells is a card on a phone.
    "@media(max-width:40rem){td{overflow-wrap:anywhere}.psps,.psps tbody,.psps tr,.psps td{display:block}.psps tr:first-child{display:none!important}"
    ".psps tr{border:1px solid var(--line);margin:0 0 .75rem;padding:.5rem .75rem}.psps td{border:0;padding:.1rem 0}"
    ".psps td::before{content:attr(data-name) ' ';color:var(--faint)}.psps td:first-child::before{content:none}"
    ".psps a{font-size:1.125rem;line-height:2.5rem}}"
)
_CONTROL = """<h2 id=control>Control</h2>
<p>On loopback only: <code>POST /_simulator</code> with JSON. <code>gateway</code> names one PSP; without it all
are meant. Fields: <code>latency_ms</code> (a number, or <code>{"p50_ms", "p99_ms", "seed"}</code>),
<code>search_lag_s</code>, <code>down_s</code> with <code>down</code> <code>refusing</code> or
<code>failing</code>, <code>faults</code>, <code>webhooks</code>. The response has how often each fault hit, and
how many webhooks are waiting, sent, lost and given up. All of it is in docs/simulator.md.</p>"""


def page(
    psps: Sequence[Psp], accounts: Accounts, own: Mapping[str, str]
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler that shows the page. `own`: by PSP, the URL of its own port; read at each request."""

    async def show(request: web.Request) -> web.StreamResponse:
        return web.Response(
            text=html(psps, accounts, str(request.url.origin()), own), content_type="text/html"
        )

    return show


def html(psps: Sequence[Psp], accounts: Accounts, url: str, own: Mapping[str, str]) -> str:
    """The page as HTML. It shows the secrets of well-known accounts alone."""
    index = "".join(
        f"<tr><td><a href='#{psp.name}'>{escape(psp.title)}</a><td data-name=version>{escape(psp.version)}"
        f"<td data-name='base URL'>{_bases(psp, url, own)}<td data-name=accounts>{escape(', '.join(a.name for a in accounts.of(psp.name)))}"
        for psp in psps
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Simulated PSPs</title>"
        f'<meta name=viewport content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        "<h1>Simulated PSPs</h1><p>To develop and test against. No money moves.</p>"
        f"<table class=psps><tr><th>PSP<th>version<th>base URL<th>accounts{index}</table>"
        f"{''.join(_psp(psp, accounts, _bases(psp, url, own)) for psp in psps)}{_CONTROL}</html>"
    )


def _bases(psp: Psp, url: str, own: Mapping[str, str]) -> str:
    urls = [f"{url}/{psp.name}", *([own[psp.name]] if psp.name in own else [])]
    return " or ".join(f"<code>{escape(one)}</code>" for one in urls)


def _psp(psp: Psp, accounts: Accounts, bases: str) -> str:
    shown = accounts.of(psp.name)
    parts = [
        f"<h2 id={psp.name}>{escape(psp.title)}</h2>",
        f"<p>Base URL {bases}. {escape(psp.credentials)}</p>",
        _secrets(shown) if accounts.well_known else "",
        f"<p>Webhooks: {escape(psp.webhooks)}</p>",
        *(f"<h3>{escape(group.title)}</h3>{_table(group.entries)}" for group in psp.groups),
    ]
    if psp.options:
        options = [Entry(name, option.meaning) for name, option in psp.options.items()]
        parts.append(f"<h3>Options of an account</h3>{_table(options)}")
    if psp.fees is not None:
        parts.append(f"<h3>Fees</h3><p>{escape(psp.fees.says)}</p>")
    if psp.differs:
        items = "".join(f"<li>{escape(one)}" for one in psp.differs)
        parts.append(f"<h3>Differences from {escape(psp.title)}</h3><ul>{items}</ul>")
    return "".join(parts)


def _secrets(accounts: Iterable[Account]) -> str:
    """The secrets of well-known accounts, as HTML."""
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
