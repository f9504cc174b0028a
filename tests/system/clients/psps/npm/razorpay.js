// An order, found again. Argument: the base URL, or none where HTTPS_PROXY leads to it.
const Razorpay = require("razorpay");

const [url] = process.argv.slice(2);
const razorpay = new Razorpay({ key_id: "rzp_test_simulator", key_secret: "razorpay_simulator_secret" });
if (url !== undefined) razorpay.api.rq.defaults.baseURL = url;

async function main() {
  const made = await razorpay.orders.create({ amount: 50000, currency: "INR", receipt: "receipt-7" });
  const fetched = await razorpay.orders.fetch(made.id);
  const found = await razorpay.orders.all({ receipt: "receipt-7" });
  return { made: [made.entity, made.status, made.amount_due], same: fetched.id === made.id, found: found.count };
}

main().then(
  (said) => console.log(JSON.stringify(said)),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
