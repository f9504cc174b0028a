// An order that is captured, and given back in part. Arguments: the proxy's URL and port.
const { randomUUID } = require("node:crypto");
const paypal = require("@paypal/paypal-server-sdk");

const [address, port] = process.argv.slice(2);
const client = new paypal.Client({
  clientCredentialsAuthCredentials: { oAuthClientId: "simulator-client", oAuthClientSecret: "simulator-secret" },
  environment: paypal.Environment.Sandbox,
  httpClientOptions: { proxySettings: { address, port: Number(port) } },
});

async function main() {
  const orders = new paypal.OrdersController(client);
  const payments = new paypal.PaymentsController(client);
  const prefer = "return=representation";
  const { result: order } = await orders.createOrder({
    prefer,
    paypalRequestId: randomUUID(),
    body: {
      intent: "CAPTURE",
      purchaseUnits: [{ amount: { currencyCode: "USD", value: "10.99" }, customId: "c0ffee-s1" }],
      paymentSource: { card: { vaultId: "sim_ok" } },
    },
  });
  const [capture] = order.purchaseUnits[0].payments.captures;
  const { result: refund } = await payments.refundCapturedPayment({
    prefer,
    captureId: capture.id,
    paypalRequestId: randomUUID(),
    body: { amount: { currencyCode: "USD", value: "3.00" } },
  });
  const { result: shown } = await orders.getOrder({ id: order.id });
  return {
    order: order.status,
    capture: [capture.status, capture.amount.value],
    refund: [refund.status, refund.amount.value],
    shown: shown.status,
  };
}

main().then(
  (said) => console.log(JSON.stringify(said)),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
