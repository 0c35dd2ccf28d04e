package org.overhand.spark;

import java.io.IOException;
import org.apache.spark.TaskContext;
import org.apache.spark.memory.MemoryConsumer;
import org.apache.spark.memory.TaskMemoryManager;

/**
 * The writer's memory in Spark's books: the native arena and, for streams, the heap. The arena begins small
 * and doubles as far as Spark grants it; when Spark wants memory back, everything is pushed to the workers.
 * The library's minimum stays with the writer and is not accounted.
 */
final class WriterMemory extends MemoryConsumer implements StreamAppender.Budget {
    /** The largest small block the library chains; an arena this near its limit is full. */
    private static final long BLOCK_BYTES = 64L << 10;
    /** After a refusal, extends that pass before Spark is asked again. */
    private static final int REFUSAL_PAUSE = 256;

    private final TaskContext context;
    private final NativeWriter writer;
    private final long maxBytes;
    private final Thread owner = Thread.currentThread();
    private RecordSink<?, ?> sink;
    private long arenaGranted;
    private long heapGranted;
    private long lastUsed; // by the arena when it was last asked; it may be less by now
    private int pause;

    WriterMemory(TaskContext context, NativeWriter writer, long maxBytes) {
        this(context, context.taskMemoryManager(), writer, maxBytes);
    }

    private WriterMemory(TaskContext context, TaskMemoryManager manager, NativeWriter writer, long maxBytes) {
        super(manager, manager.pageSizeBytes(), manager.getTungstenMemoryMode());
        this.context = context;
        this.writer = writer;
        this.maxBytes = maxBytes;
    }

    /** Who keeps records on the heap and is to be flushed first when Spark wants memory back. */
    void setSink(RecordSink<?, ?> sink) {
        this.sink = sink;
    }

    /** Makes room at a partition's cursor, growing the arena first if Spark agrees. */
    void extend(int partition, long need) throws IOException {
        if (isShort(lastUsed, need) && isShort(writer.memory(), need)) {
            grow(need);
        }
        lastUsed = writer.extend(partition, need);
    }

    private boolean isShort(long used, long need) {
        return used + need + BLOCK_BYTES > arenaLimit();
    }

    private long arenaLimit() {
        return Math.max(NativeWriter.MIN_MEMORY, arenaGranted);
    }

    private void grow(long need) {
        long wanted = Math.max(Math.min(arenaLimit() * 2, maxBytes - heapGranted), need + BLOCK_BYTES);
        if (wanted <= arenaGranted) {
            return;
        }
        if (pause > 0) {
            pause--;
            return;
        }
        long granted = acquireMemory(wanted - arenaGranted);
        if (granted < wanted - arenaGranted) {
            pause = REFUSAL_PAUSE;
        }
        arenaGranted += granted;
        writer.setMemory(arenaLimit());
    }

    @Override
    public boolean take(long bytes) {
        if (heapGranted + arenaGranted + bytes > maxBytes) {
            return false;
        }
        long granted = acquireMemory(bytes);
        if (granted < bytes) {
            freeMemory(granted);
            return false;
        }
        heapGranted += bytes;
        return true;
    }

    @Override
    public void give(long bytes) {
        heapGranted -= bytes;
        freeMemory(bytes);
    }

    /**
     * Pushes everything and gives the memory back. Only for others of the same task and on its own thread:
     * this is where they ask from inside {@code records.next()}, so no record is half written.
     */
    @Override
    public long spill(long size, MemoryConsumer trigger) throws IOException {
        if (trigger == this || Thread.currentThread() != owner || writer.isClosed() || getUsed() == 0) {
            return 0;
        }
        long before = getUsed();
        if (sink != null) {
            sink.flush();
        }
        writer.flush();
        writer.setMemory(NativeWriter.MIN_MEMORY);
        lastUsed = 0;
        freeMemory(arenaGranted);
        arenaGranted = 0;
        long released = before - getUsed();
        context.taskMetrics().incMemoryBytesSpilled(released);
        return released;
    }

    /** Gives back what is left, after the writer has closed. */
    void release() {
        freeMemory(getUsed());
        arenaGranted = 0;
        heapGranted = 0;
    }
}
