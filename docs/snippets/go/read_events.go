// Prints the events of payments as JSON, one on each line: read_events BROKER TOPIC GROUP
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

var attributes = spec.WithPrefix("ce_").Version("1.0")

func main() {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Args[1]),
		kgo.ConsumeTopics(os.Args[2]),
		kgo.ConsumerGroup(os.Args[3]),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), // the other clients' default
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	lines := json.NewEncoder(os.Stdout)
	for {
		fetches := client.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			log.Fatal(err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			one, err := eventOf(record)
			if err == nil {
				err = lines.Encode(one)
			}
			if err != nil {
				log.Fatal(err)
			}
		})
	}
}

func eventOf(record *kgo.Record) (event.Event, error) {
	one := event.New()
	for _, header := range record.Headers {
		value := string(header.Value)
		if attribute := attributes.Attribute(header.Key); attribute != nil {
			if err := attribute.Set(one.Context, value); err != nil {
				return one, err
			}
		} else if header.Key == "content-type" {
			one.SetDataContentType(value)
		} else if name, found := strings.CutPrefix(header.Key, "ce_"); found {
			one.SetExtension(name, value)
		}
	}
	one.DataEncoded = record.Value
	return one, one.Validate()
}
