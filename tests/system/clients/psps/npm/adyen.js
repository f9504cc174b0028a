// An authorization, captured in part; another merchant's is refused. Arguments: the base URL, or the proxy's host and port.
const { randomUUID } = require("node:crypto");
const { Client, CheckoutAPI } = require("@adyen/api-library");

const [where, port] = process.argv.slice(2);

function api() {
  const client = new Client({ apiKey: "AQEsimulator", environment: "TEST" });
  if (port !== undefined) {
    client.httpClient.proxy = { host: where, port: Number(port) };
    return new CheckoutAPI(client);
  }
  // Each access makes another.
  const { PaymentsApi, ModificationsApi } = new CheckoutAPI(client);
  PaymentsApi.baseUrl = ModificationsApi.baseUrl = `${where}/v72`;
  return { PaymentsApi, ModificationsApi };
}

async function main() {
  const checkout = api();
  const merchantAccount = "SimulatorECOM";
  const paid = await checkout.PaymentsApi.payments(
    {
      amount: { value: 1099, currency: "EUR" },
      merchantAccount,
      reference: "order-7",
      returnUrl: "https://shop.example/back",
      paymentMethod: {
        type: "scheme",
        encryptedCardNumber: "test_4111111111111111",
        encryptedExpiryMonth: "test_03",
        encryptedExpiryYear: "test_2030",
        encryptedSecurityCode: "test_737",
      },
      additionalData: { manualCapture: "true" },
    },
    { idempotencyKey: randomUUID() },
  );
  const captured = await checkout.ModificationsApi.captureAuthorisedPayment(paid.pspReference, {
    amount: { value: 700, currency: "EUR" },
    merchantAccount,
    reference: "capture-7",
  });
  let refused = 0;
  try {
    await checkout.PaymentsApi.payments({ amount: { value: 1, currency: "EUR" }, merchantAccount: "Another" });
  } catch (error) {
    refused = error.statusCode;
  }
  const of = captured.paymentPspReference === paid.pspReference;
  return { paid: paid.resultCode, captured: captured.status, of, refused };
}

main().then(
  (said) => console.log(JSON.stringify(said)),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
