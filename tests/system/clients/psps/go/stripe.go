// An authorization, captured in part, refunded and read. Argument: the base URL.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"github.com/stripe/stripe-go/v85"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func create(sc *stripe.Client, method string) (*stripe.PaymentIntent, error) {
	return sc.V1PaymentIntents.Create(context.Background(), &stripe.PaymentIntentCreateParams{
		Amount:             stripe.Int64(1099),
		Currency:           stripe.String("usd"),
		CaptureMethod:      stripe.String("manual"),
		PaymentMethod:      stripe.String(method),
		PaymentMethodTypes: stripe.StringSlice([]string{"card"}),
		Confirm:            stripe.Bool(true),
	})
}

func main() {
	ctx := context.Background()
	backends := stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL:               stripe.String(os.Args[1]),
		MaxNetworkRetries: stripe.Int64(0),
	})
	sc := stripe.NewClient("sk_test_simulator", stripe.WithBackends(backends))

	held, err := create(sc, "pm_card_visa")
	must(err)
	taken, err := sc.V1PaymentIntents.Capture(ctx, held.ID, &stripe.PaymentIntentCaptureParams{AmountToCapture: stripe.Int64(700)})
	must(err)
	refund, err := sc.V1Refunds.Create(ctx, &stripe.RefundCreateParams{PaymentIntent: stripe.String(held.ID), Amount: stripe.Int64(300)})
	must(err)
	asked := &stripe.PaymentIntentRetrieveParams{}
	asked.AddExpand("latest_charge")
	shown, err := sc.V1PaymentIntents.Retrieve(ctx, held.ID, asked)
	must(err)
	_, err = create(sc, "pm_card_visa_chargeDeclined")
	var declined *stripe.Error
	if !errors.As(err, &declined) {
		panic(err)
	}
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"held":     []any{held.Status, held.AmountCapturable},
		"taken":    []any{taken.Status, taken.AmountReceived},
		"refund":   []any{refund.Status, refund.Amount},
		"refunded": shown.LatestCharge.AmountRefunded,
		"declined": string(declined.DeclineCode),
		"version":  stripe.APIVersion,
	}))
}
