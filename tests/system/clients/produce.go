// Arguments: bootstrap, topic; then for each batch its compression, "plain", "committed" or "aborted", and a file of
// "key TAB value" lines. Each batch has a client of its own.
package main

import (
	"context"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	for at := 3; at < len(os.Args); at += 3 {
		send(os.Args[1], os.Args[2], os.Args[at], os.Args[at+1], os.Args[at+2])
	}
}

func send(bootstrap, topic, compression, how, file string) {
	codec := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[compression]
	options := []kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.ProducerBatchCompression(codec)}
	plain := how == "plain"
	if !plain {
		options = append(options, kgo.TransactionalID("go-"+compression+"-"+how))
	}
	client, err := kgo.NewClient(options...)
	must(err)
	defer client.Close()
	ctx := context.Background()
	if !plain {
		must(client.BeginTransaction())
	}
	lines, err := os.ReadFile(file)
	must(err)
	var records []*kgo.Record
	for _, line := range strings.Split(strings.TrimSpace(string(lines)), "\n") {
		pair := strings.SplitN(line, "\t", 2)
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(pair[0]), Value: []byte(pair[1])})
	}
	must(client.ProduceSync(ctx, records...).FirstErr())
	if !plain {
		must(client.EndTransaction(ctx, kgo.TransactionEndTry(how == "committed")))
	}
}
