package org.overhand.spark;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.serializer.DeserializationStream;
import org.apache.spark.serializer.SerializationStream;
import org.apache.spark.serializer.SerializerInstance;
import org.junit.Test;
import scala.reflect.ClassTag;

public class StreamAppenderTest {
    private static final int HEADER = 0x5354524d;

    /** Like Java's serializer, it begins each stream with a header and can be read from there only. */
    private static final class HeaderSerializer extends SerializerInstance {
        @Override
        public SerializationStream serializeStream(OutputStream out) {
            return new HeaderStream(out);
        }

        @Override
        public DeserializationStream deserializeStream(InputStream in) {
            throw new UnsupportedOperationException();
        }

        @Override
        public <T> ByteBuffer serialize(T object, ClassTag<T> tag) {
            throw new UnsupportedOperationException();
        }

        @Override
        public <T> T deserialize(ByteBuffer bytes, ClassTag<T> tag) {
            throw new UnsupportedOperationException();
        }

        @Override
        public <T> T deserialize(ByteBuffer bytes, ClassLoader loader, ClassTag<T> tag) {
            throw new UnsupportedOperationException();
        }
    }

    private static final class HeaderStream extends SerializationStream {
        private final DataOutputStream out;

        HeaderStream(OutputStream out) {
            this.out = new DataOutputStream(out);
            writeObject(HEADER, null);
        }

        @Override
        public <T> SerializationStream writeObject(T object, ClassTag<T> tag) {
            try {
                out.writeInt((Integer) object);
            } catch (IOException e) {
                throw Sneaky.raise(e);
            }
            return this;
        }

        @Override
        public <T> SerializationStream writeKey(T key, ClassTag<T> tag) {
            return writeObject(key, tag);
        }

        @Override
        public <T> SerializationStream writeValue(T value, ClassTag<T> tag) {
            return writeObject(value, tag);
        }

        @Override
        public void flush() {
            // nothing is kept back
        }

        @Override
        public void close() {
            // the header has been written and there is no trailer
        }
    }

    private static final class LimitedBudget implements StreamAppender.Budget {
        private final long limit;
        private long taken;

        LimitedBudget(long limit) {
            this.limit = limit;
        }

        @Override
        public boolean take(long bytes) {
            if (taken + bytes > limit) {
                return false;
            }
            taken += bytes;
            return true;
        }

        @Override
        public void give(long bytes) {
            taken -= bytes;
        }
    }

    private final List<List<Integer>> batches = new ArrayList<>();
    private final List<Integer> partitions = new ArrayList<>();

    private void receive(int partition, byte[] data, int len) throws IOException {
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(data, 0, len));
        assertEquals("every batch begins with the header", HEADER, in.readInt());
        List<Integer> values = new ArrayList<>();
        try {
            while (true) {
                assertEquals("key", partition, in.readInt());
                values.add(in.readInt());
            }
        } catch (EOFException e) {
            partitions.add(partition);
            batches.add(values);
        }
    }

    private StreamAppender<Integer, Integer> appender(int batchBytes, LimitedBudget budget) {
        return new StreamAppender<>(new HeaderSerializer(), batchBytes, this::receive, budget);
    }

    @Test
    public void smallBatchesWaitForTheEnd() throws IOException {
        LimitedBudget budget = new LimitedBudget(1 << 20);
        StreamAppender<Integer, Integer> appender = appender(1000, budget);
        appender.write(3, 3, 1);
        appender.write(5, 5, 2);
        appender.write(3, 3, 3);
        assertTrue(batches.isEmpty());
        appender.end();
        assertEquals(Arrays.asList(5, 3), partitions);
        assertEquals(Arrays.asList(Arrays.asList(2), Arrays.asList(1, 3)), batches);
        assertEquals("all memory is given back", 0, budget.taken);
    }

    @Test
    public void fullBatchLeavesAtOnceAndTheNextBeginsAnew() throws IOException {
        LimitedBudget budget = new LimitedBudget(1 << 20);
        StreamAppender<Integer, Integer> appender = appender(20, budget);
        for (int i = 0; i < 5; i++) {
            appender.write(1, 1, i);
        }
        assertEquals(Arrays.asList(Arrays.asList(0, 1), Arrays.asList(2, 3)), batches);
        appender.end();
        assertEquals(Arrays.asList(4), batches.get(2));
        assertEquals(0, budget.taken);
    }

    @Test
    public void partitionIdleForLongestIsSentWhenTheBudgetIsUsedUp() throws IOException {
        LimitedBudget budget = new LimitedBudget(2 * StreamAppender.STREAM_COST + 100);
        StreamAppender<Integer, Integer> appender = appender(1000, budget);
        appender.write(1, 1, 10);
        appender.write(2, 2, 20);
        appender.write(1, 1, 11);
        appender.write(3, 3, 30);
        assertEquals("partition 2 was idle for longest", Arrays.asList(2), partitions);
        appender.end();
        assertEquals(Arrays.asList(2, 1, 3), partitions);
        assertEquals(0, budget.taken);
    }

    @Test
    public void withoutAnyBudgetEveryRecordIsABatch() throws IOException {
        LimitedBudget budget = new LimitedBudget(0);
        StreamAppender<Integer, Integer> appender = appender(1000, budget);
        for (int i = 0; i < 4; i++) {
            appender.write(i % 2, i % 2, i);
        }
        appender.end();
        assertEquals(Arrays.asList(0, 1, 0, 1), partitions);
        assertEquals(0, budget.taken);
    }

    @Test
    public void flushSendsAllAndMoreMayFollow() throws IOException {
        LimitedBudget budget = new LimitedBudget(1 << 20);
        StreamAppender<Integer, Integer> appender = appender(1000, budget);
        appender.write(1, 1, 1);
        appender.flush();
        assertEquals(0, budget.taken);
        appender.write(1, 1, 2);
        appender.end();
        assertEquals(Arrays.asList(Arrays.asList(1), Arrays.asList(2)), batches);
    }
}
