package org.overhand.spark;

import java.io.IOException;
import org.apache.spark.TaskContext;
import org.apache.spark.unsafe.Platform;

/**
 * One map attempt in the native library. Waits are cut into slices so that a killed task leaves them.
 * {@link #slot} and {@link Platform} are the way in for bytes: no JNI call per record.
 */
final class NativeWriter {
    /** The smallest arena the library works with. */
    static final long MIN_MEMORY = 1L << 20;
    private static final long SLOT_BYTES = 16;
    private static final int N_STATS = 6;

    private final NativeClient client;
    private final TaskContext context;
    private final String name;
    private final long slots;
    private final long[] stats = new long[N_STATS];
    private long handle;

    /** For rows of so many fields, 0 for any bytes. Takes over the caller's hold on {@code client}. */
    NativeWriter(NativeClient client, TaskContext context, OverhandShuffleHandle<?, ?, ?> shuffle,
            int numFields) throws IOException {
        OverhandConf conf = shuffle.conf();
        long[] out = new long[1];
        this.client = client;
        this.context = context;
        this.name = "shuffle " + shuffle.shuffleId() + " map " + context.partitionId() + " attempt "
                + context.taskAttemptId();
        int rc = Native.writerOpen(client.handle(), shuffle.layout(), context.partitionId(),
                context.taskAttemptId(), MIN_MEMORY, conf.codec(), conf.codecLevel(), numFields,
                out);
        if (rc != 0) {
            OverhandException failure =
                    new OverhandException(rc, "cannot write " + name, Native.clientError(client.handle()));
            client.drop();
            throw failure;
        }
        handle = out[0];
        slots = Native.writerSlots(handle);
    }

    /** Address of a partition's {@code {cursor, end}}. */
    long slot(int partition) {
        return slots + partition * SLOT_BYTES;
    }

    /** Makes room for {@code need} contiguous bytes at the partition's cursor; returns {@link #memory}. */
    long extend(int partition, long need) throws IOException {
        long rc;
        while ((rc = Native.writerExtend(handle, partition, need, Native.SLICE_MS)) == Native.E_AGAIN) {
            context.killTaskIfInterrupted();
        }
        if (rc < 0) {
            check((int) rc);
        }
        return rc;
    }

    /** Sends bytes as a batch of their own. */
    void batch(int partition, byte[] data, int len) throws IOException {
        long copy = Platform.allocateMemory(len);
        try {
            Platform.copyMemory(data, Platform.BYTE_ARRAY_OFFSET, null, copy, len);
            int rc;
            while ((rc = Native.writerBatch(handle, partition, copy, len, Native.SLICE_MS))
                    == Native.E_AGAIN) {
                context.killTaskIfInterrupted();
            }
            check(rc);
        } finally {
            Platform.freeMemory(copy);
        }
    }

    /** Hands everything over and returns when the arena holds nothing. */
    void flush() throws IOException {
        int rc;
        while ((rc = Native.writerFlush(handle, Native.SLICE_MS)) == Native.E_AGAIN) {
            context.killTaskIfInterrupted();
        }
        check(rc);
    }

    /** Sends the rest and returns when workers have acknowledged all of it. */
    void finish() throws IOException {
        int rc;
        while ((rc = Native.writerFinish(handle, Native.SLICE_MS)) == Native.E_AGAIN) {
            context.killTaskIfInterrupted();
        }
        check(rc);
    }

    long memory() {
        return Native.writerMemory(handle);
    }

    void setMemory(long bytes) {
        Native.writerSetMemory(handle, bytes);
    }

    /** After {@link #finish}: bytes of each partition, for Spark's plans. */
    long[] partitionBytes(int nPartitions) {
        long[] bytes = new long[nPartitions];
        Native.writerPartitionBytes(handle, bytes);
        return bytes;
    }

    /** After {@link #finish}: where data went other than its home. */
    String exceptions() {
        return Native.writerExceptions(handle);
    }

    long storedBytes() {
        Native.writerStats(handle, stats);
        return stats[1];
    }

    long waitNs() {
        Native.writerStats(handle, stats);
        return stats[3];
    }

    long peakMemory() {
        Native.writerStats(handle, stats);
        return stats[5];
    }

    boolean isClosed() {
        return handle == 0;
    }

    /** Ends the attempt, finished or not. Repeats are harmless. */
    void close() {
        if (handle != 0) {
            Native.writerClose(handle);
            handle = 0;
            client.drop();
        }
    }

    private void check(int rc) throws IOException {
        if (rc != 0) {
            throw new OverhandException(rc, "cannot write " + name, Native.writerError(handle));
        }
    }
}
