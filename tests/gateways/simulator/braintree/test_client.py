"""Braintree's own client for Python, which nobody here wrote, pointed at the simulator."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateways.braintree import official
from tests.gateways.simulator.braintree.merchant import PRIVATE_KEY, PUBLIC_KEY, Merchant
from tests.gateways.simulator.conftest import slowly

PAID = "transaction { id legacyId status orderId amount { value currencyIsoCode } statusHistory { __typename status } }"


class Client:
    def __init__(self, merchant: Merchant, private_key: str = PRIVATE_KEY) -> None:
        url = urlsplit(merchant.root)
        assert url.hostname is not None
        # It joins them to an address with a colon.
        environment = official.environment(url.hostname, f"{url.port}/braintree")
        gateway = official.gateway(environment, PUBLIC_KEY, private_key)
        self._client = gateway.graphql_client

    async def ask(self, query: str, **variables: Any) -> Any:
        """It blocks, so it runs beside the simulator."""
        return await asyncio.to_thread(self._client.query, query, variables)

    async def do(self, mutation: str, fields: str, **sent: Any) -> Any:
        kind = mutation[0].upper() + mutation[1:]
        query = f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) {{ {fields} }} }}"
        return (await self.ask(query, input=sent))["data"][mutation]


@pytest.fixture
def client(merchant: Merchant) -> Client:
    return Client(merchant)


def sent(amount: str = "10.99", nonce: str = "fake-valid-nonce") -> dict[str, Any]:
    return {"paymentMethodId": nonce, "transaction": {"amount": amount, "orderId": "order-7"}}


@slowly
@pytest.mark.parametrize("mutation", ["chargePaymentMethod", "chargeCreditCard"])
async def test_a_charge_is_made_and_read(client: Client, mutation: str):
    charged = (await client.do(mutation, PAID, **sent()))["transaction"]

    assert (charged["status"], charged["orderId"]) == ("SUBMITTED_FOR_SETTLEMENT", "order-7")
    assert charged["amount"] == {"value": "10.99", "currencyIsoCode": "USD"}
    types = [event["__typename"] for event in charged["statusHistory"]]
    assert types == ["SubmittedForSettlementEvent", "AuthorizedEvent"]
    node = await client.ask(
        "query ($id: ID!) { node(id: $id) { id ... on Payment { status } } }", id=charged["id"]
    )
    assert node["data"]["node"] == {"id": charged["id"], "status": "SUBMITTED_FOR_SETTLEMENT"}


async def test_an_authorization_is_captured(client: Client):
    held = (await client.do("authorizePaymentMethod", PAID, **sent()))["transaction"]

    captured = await client.do(
        "captureTransaction", PAID, transactionId=held["id"], transaction={"amount": "4.00"}
    )

    assert held["status"] == "AUTHORIZED"
    assert captured["transaction"]["amount"]["value"] == "4.00"


async def test_a_reversal_is_a_void_and_after_the_settlement_a_refund(client: Client, merchant: Merchant):
    fields = "clientMutationId reversal { __typename ... on Transaction { status } ... on Refund { amount { value } } }"
    held = (await client.do("authorizePaymentMethod", PAID, **sent()))["transaction"]
    charged = (await client.do("chargePaymentMethod", PAID, **sent("20.00")))["transaction"]

    voided = await client.do("reverseTransaction", fields, transactionId=held["id"], clientMutationId="mine")
    await merchant.settled(_named(charged))
    given_back = await client.do("reverseTransaction", fields, transactionId=charged["id"])

    assert voided == {
        "clientMutationId": "mine",
        "reversal": {"__typename": "Transaction", "status": "VOIDED"},
    }
    assert given_back["reversal"] == {"__typename": "Refund", "amount": {"value": "20.00"}}


@slowly
async def test_a_refund_is_made_and_found(client: Client, merchant: Merchant):
    charged = (await client.do("chargePaymentMethod", PAID, **sent()))["transaction"]
    fields = "refund { id status amount { value } orderId refundedTransaction { id refunds { id } } }"
    params = {"transactionId": charged["id"], "refund": {"amount": "4.00", "orderId": "refund-1"}}
    early = await client.ask(
        "mutation ($input: RefundTransactionInput!) { refundTransaction(input: $input) { refund { id } } }",
        input=params,
    )
    await merchant.settled(_named(charged))

    refund = (await client.do("refundTransaction", fields, **params))["refund"]

    assert early["errors"][0]["extensions"]["legacyCode"] == "91506"
    assert refund["refundedTransaction"] == {"id": charged["id"], "refunds": [{"id": refund["id"]}]}
    found = await client.ask(
        'query { search { refunds(input: {orderId: {is: "refund-1"}}) { edges { node { id status } } } } }'
    )
    assert [edge["node"]["id"] for edge in found["data"]["search"]["refunds"]["edges"]] == [refund["id"]]


async def test_transactions_are_searched_by_their_order_id(client: Client):
    first = (await client.do("chargePaymentMethod", PAID, **sent()))["transaction"]
    second = (await client.do("chargePaymentMethod", PAID, **sent("20.00")))["transaction"]

    found = await client.ask(
        'query { search { transactions(input: {orderId: {is: "order-7"}}, first: 1) '
        "{ pageInfo { hasNextPage } edges { node { id } } } } }"
    )

    assert found["data"]["search"]["transactions"] == {
        "pageInfo": {"hasNextPage": True},
        "edges": [{"node": {"id": second["id"]}}],
    }
    assert first["id"] != second["id"]


async def test_a_decline_says_why(client: Client):
    fields = "transaction { status statusHistory { ... on ProcessorDeclinedEvent { declineType processorResponse { legacyCode } } } }"
    declined = await client.do("chargePaymentMethod", fields, **sent("2015.00"))

    assert declined["transaction"] == {
        "status": "PROCESSOR_DECLINED",
        "statusHistory": [{"declineType": "HARD", "processorResponse": {"legacyCode": "2015"}}],
    }


async def test_it_raises_its_own_exceptions(client: Client, merchant: Merchant):
    with pytest.raises(official.braintree.exceptions.authentication_error.AuthenticationError):
        await Client(merchant, "another").ask("{ ping }")
    with pytest.raises(official.braintree.exceptions.not_found_error.NotFoundError):
        await client.ask('{ node(id: "dHJhbnNhY3Rpb25fbm9uZQ") { id } }')
    assert await client.ask("{ ping }") == {
        "data": {"ping": "pong"},
        "extensions": {"requestId": "simulator"},
    }


def _named(transaction: dict[str, Any]) -> Any:
    """As the merchant names it."""
    return type("Named", (), {"psp_id": transaction["id"]})
