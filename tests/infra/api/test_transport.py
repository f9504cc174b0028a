"""HTTP as any client speaks it: HEAD, a slash at the end, compression, conditional reads, methods that are
not taken."""

import asyncio
import gzip
import http.client

import pytest

from infra.api.transport import preferred
from projections import batch
from tests.support.builders import NOW
from tests.support.event_stories import captured, event_of, put_into_store, read_models_connection

pytestmark = pytest.mark.stack


@pytest.fixture
async def payment(environment) -> str:
    story = captured(description="Order 1")
    put_into_store(environment, story)
    async with read_models_connection(environment) as conn:
        await batch.apply(conn, map(event_of, story), {}, NOW)
    return f"/v1/payments/{story[0].originator_id}"


async def test_head_has_the_headers_of_get_and_no_body(api, payment):
    get, head = await api.get(payment), await api.ask("HEAD", payment)

    assert (head.status, head.raw) == (200, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    assert head.headers["ETag"] == get.headers["ETag"]


async def test_a_connection_goes_on_after_head(api, payment):
    address = api.http._base_url

    def both() -> list[int]:
        connection = http.client.HTTPConnection(address.host, address.port)
        connection.connect()
        connection.auto_open = 0  # raises where the server has closed it
        statuses = []
        for method in ("HEAD", "GET"):
            connection.request(method, payment, headers={"Authorization": f"Bearer {api.key}"})
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()
        return statuses

    assert await asyncio.to_thread(both) == [200, 200]


async def test_a_slash_at_the_end_names_the_same_resource(api, payment):
    response = await api.get(f"{payment}/")

    assert response.status == 200
    assert response.body == (await api.get(payment)).body | {"read_model": response.body["read_model"]}


async def test_a_long_response_is_compressed_for_clients_that_accept_it(api, payment):
    async with api.http.get(
        payment,
        headers={"Authorization": f"Bearer {api.key}", "Accept-Encoding": "gzip"},
        auto_decompress=False,
    ) as response:
        raw = await response.read()

    assert response.headers["Content-Encoding"] == "gzip"
    assert b'"status":"CAPTURED"' in gzip.decompress(raw)


async def test_a_payment_that_has_not_changed_is_not_sent_again(api, payment):
    etag = (await api.get(payment)).headers["ETag"]

    for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        again = await api.get(payment, **{"If-None-Match": known})
        assert (again.status, again.raw, again.headers["ETag"]) == (304, b"", etag), known
    assert (await api.get(payment, **{"If-None-Match": 'W/"2.0"'})).status == 200


async def test_the_methods_of_a_path_are_all_named_where_one_is_not_taken(api):
    for path, methods in (("/return/x", "GET, HEAD, POST"), ("/v1/payments", "POST"), ("/live", "GET, HEAD")):
        response = await api.ask("DELETE", path)
        assert (response.status, response.headers["Allow"]) == (405, methods)
        assert response.body["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "a/json"),
        ("*/*", "a/json"),
        ("text/html", None),
        ("a/yaml", "a/yaml"),
        ("A/YAML; charset=utf-8", "a/yaml"),
        ("a/json;q=0.5, a/yaml", "a/yaml"),
        ("a/json; q=0.2, a/yaml; q=0.9", "a/yaml"),
        ("a/yaml;q=0.1, */*", "a/json"),
        ("a/json;q=0, */*;q=0.1", "a/yaml"),
        ("a/json;q=0", None),
        ("a/yaml, a/json", "a/yaml"),
        ("a/*;q=0.3, a/yaml;q=0.2", "a/json"),
        ("a/yaml;q=2", "a/yaml"),
    ],
)
def test_the_form_that_a_caller_prefers_is_chosen(accept, kind):
    assert preferred(accept, ["a/json", "a/yaml"]) == kind
