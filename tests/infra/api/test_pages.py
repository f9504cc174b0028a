"""The pages of the API's own address, for people."""

import base64
import hashlib
import re

import pytest

pytestmark = pytest.mark.stack


async def test_the_root_lists_the_resources_for_people_and_for_programs(api):
    page = await api.get("/", Accept="text/html,*/*")
    listed = await api.get("/")

    assert page.headers["Content-Type"].startswith("text/html")
    for path in ("/docs", "/openapi.json", "/live", "/ready"):
        assert f'href="{path}"'.encode() in page.raw
        assert path in listed.body["resources"]
        assert (await api.get(path)).status == 200


async def test_the_documentation_loads_nothing_from_elsewhere(api):
    page = await api.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.raw.decode())

    assert loaded
    for address in loaded:
        assert (await api.get(f"/{address}")).status == 200, address
    policy = page.headers["Content-Security-Policy"]
    assert "http" not in policy
    [script] = re.findall(rb"<script>(.*?)</script>", page.raw, re.DOTALL)
    assert base64.b64encode(hashlib.sha256(script).digest()).decode() in policy
