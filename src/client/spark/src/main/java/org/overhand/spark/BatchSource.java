package org.overhand.spark;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.apache.spark.TaskContext;
import org.apache.spark.shuffle.FetchFailedException;
import org.apache.spark.shuffle.ShuffleReadMetricsReporter;
import org.apache.spark.storage.BlockManagerId;
import org.apache.spark.util.TaskCompletionListener;

/**
 * The batches of one read, counted, and the place where a loss becomes Spark's fetch failure. The native
 * reader stays open until the task ends: Spark may still look at the last row after the end was reported.
 */
final class BatchSource {
    private final NativeReader reader;
    private final OverhandShuffleHandle<?, ?, ?> handle;
    private final TaskContext context;
    private final ShuffleReadMetricsReporter metrics;
    private long records;
    private long waitNs;

    BatchSource(NativeReader reader, OverhandShuffleHandle<?, ?, ?> handle, TaskContext context,
            ShuffleReadMetricsReporter metrics) {
        this.reader = reader;
        this.handle = handle;
        this.context = context;
        this.metrics = metrics;
        context.addTaskCompletionListener((TaskCompletionListener) ignored -> close());
    }

    /** Moves to the next batch; false after the last one. */
    boolean next() {
        reportRecords();
        long begin = System.nanoTime();
        int rc = reader.next();
        reportWait(System.nanoTime() - begin);
        if (rc == 0) {
            metrics.incRemoteBytesRead(reader.storedBytes());
            metrics.incRemoteBlocksFetched(1);
            return true;
        }
        if (rc == Native.END) {
            context.taskMetrics().mergeShuffleReadMetrics();
            return false;
        }
        throw Sneaky.raise(failure(rc));
    }

    /**
     * Lost data is a fetch failure of the whole shuffle, which makes Spark run its map stage again; anything
     * else fails this attempt alone.
     */
    private Exception failure(int rc) {
        if (rc != Native.E_LOST && rc != Native.E_CHECKSUM) {
            return new OverhandException(rc, "cannot read shuffle " + handle.shuffleId(), reader.error());
        }
        OverhandException cause = new OverhandException(rc, "lost data of shuffle " + handle.shuffleId(),
                reader.error());
        BlockManagerId location = VirtualLocation.of(handle.appUid(), handle.shuffleId(), "");
        return new FetchFailedException(location, handle.shuffleId(), -1L, -1, reader.lostPartition(),
                cause.getMessage(), cause);
    }

    long address() {
        return reader.address();
    }

    long length() {
        return reader.length();
    }

    /** Counts a record that was handed to Spark. */
    void countRecord() {
        records++;
    }

    private void reportRecords() {
        if (records > 0) {
            metrics.incRecordsRead(records);
            records = 0;
        }
    }

    private void reportWait(long ns) {
        waitNs += ns;
        long ms = TimeUnit.NANOSECONDS.toMillis(waitNs);
        if (ms > 0) {
            metrics.incFetchWaitTime(ms);
            waitNs -= TimeUnit.MILLISECONDS.toNanos(ms);
        }
    }

    private void close() {
        reportRecords();
        context.taskMetrics().mergeShuffleReadMetrics();
        reader.close();
    }

    /** What a batch that cannot be one leads to: it passed its checksum, so a writer's bug wrote it. */
    IOException malformed(String why) {
        return new IOException("malformed batch in shuffle " + handle.shuffleId() + ": " + why);
    }
}
