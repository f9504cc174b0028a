// Prints the events of payments as JSON, one on each line: node read_events.mjs BROKER TOPIC GROUP
import cloudevents from "cloudevents";
import kafkajs from "kafkajs";

const [broker, topic, groupId] = process.argv.slice(2);
const kafka = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.ERROR });
const consumer = kafka.consumer({ groupId });

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  eachMessage: async ({ message }) => {
    // kafkajs has each header's value as bytes; the SDK looks for text.
    const headers = Object.fromEntries(
      Object.entries(message.headers).map(([name, value]) => [name, value.toString()]),
    );
    const event = cloudevents.Kafka.toEvent({ headers, key: message.key.toString(), value: message.value });
    console.log(JSON.stringify(event));
  },
});
