// Makes a payment and reads it by the generated types: node pay.js URL KEY ORDER
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

const [baseUrl, key, order] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
const body: components["schemas"]["CreatePayment"] = {
  amount_minor: 1099,
  currency: "EUR",
  payment_method: "stripe:pm_card_visa",
  capture: "automatic",
};

const made = await client.POST("/v1/payments", {
  params: { header: { "Idempotency-Key": order, Prefer: "wait=30" } },
  body,
});
if (made.error || !("version" in made.data)) {
  throw new Error(JSON.stringify(made.error ?? made.data));
}
const read = await client.GET("/v1/payments/{payment_id}", {
  params: { path: { payment_id: made.data.payment_id } },
});
if (read.error) {
  throw new Error(JSON.stringify(read.error));
}
const payment: components["schemas"]["Payment"] = read.data;
console.log(
  JSON.stringify({
    made: made.data.status,
    payment_id: payment.payment_id,
    status: payment.status,
    captured_minor: payment.captured_minor,
    currency_exponent: payment.currency_exponent,
    charges: payment.operations.map((operation) => operation.psp_id),
  }),
);
