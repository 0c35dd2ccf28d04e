package org.overhand.spark;

import java.io.IOException;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.serializer.SerializationStream;
import org.apache.spark.serializer.SerializerInstance;
import scala.reflect.ClassTag;
import scala.reflect.ClassTag$;

/**
 * For all other serializers (Java's): every batch is a stream of its own, opened for the first record and
 * closed when the batch is large enough. The streams stay open on the heap within a budget; when it is
 * used up, the partition that has waited longest for a record is sent first.
 */
final class StreamAppender<K, V> implements RecordSink<K, V> {
    /** What an open stream costs before its bytes: buffers and tables of the serializer. */
    static final int STREAM_COST = 8 << 10;
    private static final int FIRST_BYTES = 512;

    /** Where finished batches go. */
    interface BatchSink {
        void send(int partition, byte[] data, int len) throws IOException;
    }

    /** Accounts for heap memory; refusing makes streams close early, never fail. */
    interface Budget {
        /** Takes {@code bytes} more; false if they are not to be had. */
        boolean take(long bytes);

        void give(long bytes);
    }

    private static final class OpenStream {
        private final HeapBuffer buffer = new HeapBuffer(FIRST_BYTES);
        private final SerializationStream stream;
        private long cost;

        OpenStream(SerializerInstance serializer) {
            stream = serializer.serializeStream(buffer);
        }
    }

    private final SerializerInstance serializer;
    private final int batchBytes;
    private final BatchSink sink;
    private final Budget budget;
    private final LinkedHashMap<Integer, OpenStream> open = new LinkedHashMap<>(16, 0.75f, true);
    private final ClassTag<Object> tag = ClassTag$.MODULE$.Object();

    StreamAppender(SerializerInstance serializer, int batchBytes, BatchSink sink, Budget budget) {
        this.serializer = serializer;
        this.batchBytes = batchBytes;
        this.sink = sink;
        this.budget = budget;
    }

    @Override
    public void write(int partition, K key, V value) throws IOException {
        OpenStream target = open.get(partition);
        if (target == null) {
            target = new OpenStream(serializer);
            open.put(partition, target);
        }
        target.stream.writeKey(key, tag);
        target.stream.writeValue(value, tag);
        if (target.buffer.size() >= batchBytes) {
            open.remove(partition);
            send(partition, target);
        } else {
            charge(target);
        }
    }

    /** Pays for what the stream has grown; while that is refused, sends the streams idle for longest. */
    private void charge(OpenStream grown) throws IOException {
        long cost = STREAM_COST + (long) grown.buffer.size();
        while (grown.cost < cost) {
            if (budget.take(cost - grown.cost)) {
                grown.cost = cost;
                return;
            }
            Iterator<Map.Entry<Integer, OpenStream>> eldest = open.entrySet().iterator();
            Map.Entry<Integer, OpenStream> entry = eldest.next();
            eldest.remove();
            send(entry.getKey(), entry.getValue());
            if (entry.getValue() == grown) {
                return;
            }
        }
    }

    private void send(int partition, OpenStream finished) throws IOException {
        finished.stream.close();
        sink.send(partition, finished.buffer.array(), finished.buffer.size());
        budget.give(finished.cost);
    }

    @Override
    public void flush() throws IOException {
        Iterator<Map.Entry<Integer, OpenStream>> all = open.entrySet().iterator();
        while (all.hasNext()) {
            Map.Entry<Integer, OpenStream> entry = all.next();
            all.remove();
            send(entry.getKey(), entry.getValue());
        }
    }

    @Override
    public void end() throws IOException {
        flush();
    }
}
