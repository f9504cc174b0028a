import java.nio.file.*;
import java.util.*;
import org.apache.kafka.clients.producer.*;

/**
 * Arguments: bootstrap, topic; then for each batch its compression, "plain", "committed" or "aborted", and a file of
 * "key TAB value" lines. Each batch has a producer of its own.
 */
public class Produce {
    public static void main(String[] args) throws Exception {
        for (int at = 2; at < args.length; at += 3) send(args[0], args[1], args[at], args[at + 1], args[at + 2]);
    }

    static void send(String bootstrap, String topic, String codec, String how, String file) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("compression.type", codec);
        settings.put("linger.ms", "200");
        settings.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        settings.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        boolean plain = how.equals("plain");
        if (!plain) settings.put("transactional.id", "java-" + codec + "-" + how);
        try (Producer<String, String> producer = new KafkaProducer<>(settings)) {
            if (!plain) { producer.initTransactions(); producer.beginTransaction(); }
            for (String line : Files.readAllLines(Path.of(file))) {
                String[] pair = line.split("\t", 2);
                producer.send(new ProducerRecord<>(topic, pair[0], pair[1]));
            }
            producer.flush();
            if (how.equals("committed")) producer.commitTransaction();
            if (how.equals("aborted")) producer.abortTransaction();
        }
    }
}
