"""The pages that a customer sees at a simulated PSP: one look for all, on a phone as on a desk, by day and by
night.
"""

from collections.abc import Iterable
from html import escape
from typing import Final

from aiohttp import web

_STYLE: Final = (
    ":root{color-scheme:light dark;--ink:#1b1b1f;--paper:#fff;--line:#c9c9d1;--soft:#5b5b66;--act:#1f4fd8;--on:#fff}"
    "@media(prefers-color-scheme:dark){:root{--ink:#ececf1;--paper:#17171b;--line:#4a4a55;--soft:#a9a9b6;"
    "--act:#8fb0ff;--on:#10131c}}"
    "*{box-sizing:border-box}"
    "body{font:1.0625rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);"
    "max-width:28rem;margin:0 auto;padding:2rem 1.25rem}"
    "h1{font-size:1.375rem;margin:0 0 1.25rem}"
    ".amount{font-size:2rem;font-weight:600;margin:0;overflow-wrap:anywhere}"
    ".status,.note{color:var(--soft);margin:.25rem 0 1.5rem;overflow-wrap:anywhere}"
    "label{display:block;margin:0 0 1rem}"
    "input,button{font:inherit;color:inherit;width:100%;min-height:3rem;padding:.5rem 1rem;"
    "border:1px solid var(--line);border-radius:.5rem;background:transparent;margin:.25rem 0 .5rem}"
    "button{cursor:pointer}"
    "button.first{background:var(--act);border-color:var(--act);color:var(--on);font-weight:600}"
)
_NOTE: Final = "Simulated: no money moves."


def confirmation_page(
    title: str, amount: str, status: str, buttons: Iterable[tuple[str, str]], before: str = ""
) -> web.Response:
    """A page on which the customer agrees to a payment. `amount`: as people write it. `buttons`: the `result`
    that each posts and its text, the one that goes on first. `before`: HTML above them."""
    drawn = "".join(
        f"<button name=result value={escape(result)}{'' if number else ' class=first'}>{escape(text)}</button>"
        for number, (result, text) in enumerate(buttons)
    )
    return page(
        title,
        f"<p class=amount>{escape(amount)}<p class=status>Status: {escape(status)}"
        f"<form method=post>{before}{drawn}</form>",
    )


def page(title: str, content: str) -> web.Response:
    """A page of the common look. `content`: HTML."""
    return web.Response(
        text=(
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
            f'<meta name=viewport content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
            f"<h1>{escape(title)}</h1>{content}<p class=note>{_NOTE}</html>"
        ),
        content_type="text/html",
    )
