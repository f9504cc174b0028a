// A charge and its lookup over GraphQL: the classic XML interface is not simulated. Argument: the proxy's URL.
const braintree = require("braintree");
const { HttpsProxyAgent } = require("https-proxy-agent");

const gateway = new braintree.BraintreeGateway({
  environment: braintree.Environment.Sandbox,
  merchantId: "any",
  publicKey: "simulator_public_key",
  privateKey: "simulator_private_key",
  customHttpAgent: new HttpsProxyAgent(process.argv[2]),
});

async function main() {
  const charged = await gateway.graphQLClient.query(
    `mutation ($input: ChargePaymentMethodInput!) {
      chargePaymentMethod(input: $input) { transaction { id status amount { value currencyCode } } }
    }`,
    { input: { paymentMethodId: "fake-valid-nonce", transaction: { amount: "10.99", orderId: "order-7" } } },
  );
  const made = charged.data.chargePaymentMethod.transaction;
  const read = await gateway.graphQLClient.query(
    "query ($id: ID!) { node(id: $id) { ... on Transaction { id orderId } } }",
    { id: made.id },
  );
  return { charged: [made.status, made.amount.value], found: read.data.node.orderId };
}

main().then(
  (said) => console.log(JSON.stringify(said)),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
