package org.overhand.spark;

import java.io.IOException;
import org.apache.spark.TaskContext;

/**
 * One reduce task's read in the native library. After {@link #next} returned true, {@link #address} and
 * {@link #length} describe a batch that stays valid while the following one is current, too.
 */
final class NativeReader {
    private final NativeClient client;
    private final TaskContext context;
    private final long[] batch = new long[6];
    private long handle;
    private int failure;

    /** Takes over the caller's hold on {@code client}. */
    NativeReader(NativeClient client, TaskContext context, OverhandShuffleHandle<?, ?, ?> shuffle,
            ExpectedBlocks expected) throws IOException {
        long[] out = new long[1];
        this.client = client;
        this.context = context;
        int rc = Native.readerOpen(client.handle(), shuffle.layout(), expected.attempts(),
                expected.mapIndexes(), expected.partitions(), expected.exceptions(),
                shuffle.conf().readerWindow(), out);
        if (rc != 0) {
            OverhandException failed = new OverhandException(rc, "cannot read shuffle " + shuffle.shuffleId(),
                    Native.clientError(client.handle()));
            client.drop();
            throw failed;
        }
        handle = out[0];
    }

    /**
     * Moves to the next batch.
     *
     * @return 0, {@link Native#END}, or what ended the read: {@link #error} has the text
     */
    int next() {
        if (failure != 0) {
            return failure;
        }
        int rc;
        while ((rc = Native.readerNext(handle, batch, Native.SLICE_MS)) == Native.E_AGAIN) {
            context.killTaskIfInterrupted();
        }
        failure = rc;
        return rc;
    }

    long address() {
        return batch[0];
    }

    long length() {
        return batch[1];
    }

    long storedBytes() {
        return batch[5];
    }

    /** After {@link Native#E_LOST} or {@link Native#E_CHECKSUM}: the partition that misses a block. */
    int lostPartition() {
        long[] lost = new long[3];
        Native.readerLost(handle, lost);
        return (int) lost[2];
    }

    String error() {
        return Native.readerError(handle);
    }

    /** Frees the batches as well. Repeats are harmless. */
    void close() {
        if (handle != 0) {
            Native.readerClose(handle);
            handle = 0;
            client.drop();
        }
    }
}
