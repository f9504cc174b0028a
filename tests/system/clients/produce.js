// Arguments: bootstrap, topic; then for each batch its compression, "plain", "committed" or "aborted", and a file of
// "key TAB value" lines. Each batch has a producer of its own.
import { readFileSync } from "node:fs";
import kafkajs from "kafkajs";

const [bootstrap, topic, ...batches] = process.argv.slice(2);
const codecs = { none: kafkajs.CompressionTypes.None, gzip: kafkajs.CompressionTypes.GZIP };
const kafka = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.ERROR });

for (let at = 0; at < batches.length; at += 3) {
  const [codec, how, file] = batches.slice(at, at + 3);
  const messages = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const [key, value] = line.split("\t");
      return { key, value };
    });
  const transactional = { transactionalId: `js-${codec}-${how}`, maxInFlightRequests: 1, idempotent: true };
  const producer = kafka.producer(how === "plain" ? {} : transactional);
  await producer.connect();
  const sender = how === "plain" ? producer : await producer.transaction();
  await sender.send({ topic, compression: codecs[codec], messages });
  if (how === "committed") await sender.commit();
  if (how === "aborted") await sender.abort();
  await producer.disconnect();
}
