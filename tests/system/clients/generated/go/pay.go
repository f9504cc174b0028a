// Makes a payment and reads it by the generated client: pay URL KEY ORDER
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
)

func main() {
	url, key, order := os.Args[1], os.Args[2], os.Args[3]
	ctx, wait, method := context.Background(), "wait=30", "stripe:pm_card_visa"
	client, err := NewClientWithResponses(url, WithRequestEditorFn(
		func(_ context.Context, request *http.Request) error {
			request.Header.Set("Authorization", "Bearer "+key)
			return nil
		}))
	if err != nil {
		log.Fatal(err)
	}
	made, err := client.CreatePaymentWithResponse(ctx,
		&CreatePaymentParams{IdempotencyKey: order, Prefer: &wait},
		CreatePayment{AmountMinor: 1099, Currency: "EUR", PaymentMethod: &method})
	if err != nil {
		log.Fatal(err)
	}
	if made.JSON201 == nil {
		log.Fatal(string(made.Body))
	}
	read, err := client.GetPaymentWithResponse(ctx, made.JSON201.PaymentId.String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	if read.JSON200 == nil {
		log.Fatal(string(read.Body))
	}
	payment := read.JSON200
	charges := []*string{}
	for _, operation := range payment.Operations {
		charges = append(charges, operation.PspId)
	}
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"made":              made.JSON201.Status,
		"payment_id":        payment.PaymentId,
		"status":            payment.Status,
		"captured_minor":    payment.CapturedMinor,
		"currency_exponent": payment.CurrencyExponent,
		"charges":           charges,
	})
	if err != nil {
		log.Fatal(err)
	}
}
