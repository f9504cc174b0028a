"""Makes a payment and reads it by the generated client: pay.py URL KEY ORDER"""

import json
import sys

from aegispay_http import ApiClient, Configuration, CreatePayment, Payment, PaymentsApi

url, key, order = sys.argv[1:]
with ApiClient(Configuration(host=url, access_token=key)) as client:
    payments = PaymentsApi(client)
    body = CreatePayment(amount_minor=1099, currency="EUR", payment_method="stripe:pm_card_visa")
    made = payments.create_payment(order, body, prefer="wait=30")
    if not isinstance(made, Payment):
        sys.exit(f"not at rest: {made}")
    read = payments.get_payment(str(made.payment_id))
    print(
        json.dumps(
            {
                "made": made.status,
                "payment_id": str(read.payment_id),
                "status": read.status,
                "captured_minor": read.captured_minor,
                "currency_exponent": read.currency_exponent,
                "charges": [operation.psp_id for operation in read.operations],
            }
        )
    )
