// An authorization, captured in part, refunded and read. Arguments: the port's host, its number, its scheme.
const Stripe = require("stripe");

const [host, port, protocol] = process.argv.slice(2);
const stripe = new Stripe("sk_test_simulator", { host, port: Number(port), protocol, maxNetworkRetries: 0 });

async function main() {
  const held = await stripe.paymentIntents.create({
    amount: 1099,
    currency: "usd",
    capture_method: "manual",
    payment_method: "pm_card_visa",
    payment_method_types: ["card"],
    confirm: true,
  });
  const taken = await stripe.paymentIntents.capture(held.id, { amount_to_capture: 700 });
  const refund = await stripe.refunds.create({ payment_intent: held.id, amount: 300 });
  const shown = await stripe.paymentIntents.retrieve(held.id, { expand: ["latest_charge"] });
  let declined = "";
  try {
    await stripe.paymentIntents.create({
      amount: 1099,
      currency: "usd",
      payment_method: "pm_card_visa_chargeDeclined",
      payment_method_types: ["card"],
      confirm: true,
    });
  } catch (error) {
    declined = `${error.type} ${error.decline_code}`;
  }
  return {
    held: [held.status, held.amount_capturable],
    taken: [taken.status, taken.amount_received],
    refund: [refund.status, refund.amount],
    refunded: shown.latest_charge.amount_refunded,
    declined,
    version: taken.lastResponse.apiVersion,
  };
}

main().then(
  (said) => console.log(JSON.stringify(said)),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
