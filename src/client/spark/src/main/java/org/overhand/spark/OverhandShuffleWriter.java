package org.overhand.spark;

import java.io.IOException;
import org.apache.spark.Partitioner;
import org.apache.spark.PartitionIdPassthrough;
import org.apache.spark.ShuffleDependency;
import org.apache.spark.TaskContext;
import org.apache.spark.scheduler.MapStatus;
import org.apache.spark.serializer.SerializerInstance;
import org.apache.spark.shuffle.ShuffleWriteMetricsReporter;
import org.apache.spark.shuffle.ShuffleWriter;
import org.apache.spark.util.TaskCompletionListener;
import scala.Option;
import scala.Product2;
import scala.collection.Iterator;

/**
 * Writes the output of one map task attempt. Success is reported only after workers have acknowledged all
 * of it; an attempt that ends earlier leaves bytes that no reader will accept.
 */
public final class OverhandShuffleWriter<K, V> extends ShuffleWriter<K, V> {
    private final OverhandShuffleHandle<K, V, ?> handle;
    private final ShuffleDependency<K, V, ?> dependency;
    private final TaskContext context;
    private final ShuffleWriteMetricsReporter metrics;
    private final RowFormat rows; // null if records are not appended as rows
    private final NativeWriter writer;
    private final WriterMemory memory;
    private final Object[] checksums; // null if Spark wants none
    private long[] partitionBytes;
    private String exceptions;

    OverhandShuffleWriter(OverhandShuffleHandle<K, V, ?> handle, TaskContext context,
            ShuffleWriteMetricsReporter metrics, NativeClient client) throws IOException {
        this.handle = handle;
        this.dependency = handle.dependency();
        this.context = context;
        this.metrics = metrics;
        this.checksums = Compat.rowChecksums(dependency);
        this.rows = rowFormat(dependency);
        this.writer = new NativeWriter(client, context, handle, rows == null ? 0 : rows.numFields());
        this.memory = new WriterMemory(context, writer, handle.conf().writerMemory());
        context.addTaskCompletionListener((TaskCompletionListener) ignored -> close());
    }

    @Override
    public void write(Iterator<Product2<K, V>> records) throws IOException {
        RecordSink<Object, Object> sink = sink();
        memory.setSink(sink);
        long nRecords = append(dependency.mapSideCombine() ? combined(records) : records, sink);
        if (records.hasNext()) {
            throw new IllegalStateException("records are left after the last one was written");
        }
        long begin = System.nanoTime();
        long waitedBefore = writer.waitNs();
        sink.end();
        writer.finish();
        partitionBytes = writer.partitionBytes(dependency.partitioner().numPartitions());
        exceptions = writer.exceptions();
        report(nRecords, waitedBefore + System.nanoTime() - begin);
    }

    private void report(long nRecords, long writeNs) {
        metrics.incRecordsWritten(nRecords);
        metrics.incBytesWritten(writer.storedBytes());
        metrics.incWriteTime(writeNs);
        context.taskMetrics().incPeakExecutionMemory(writer.peakMemory());
    }

    private static RowFormat rowFormat(ShuffleDependency<?, ?, ?> dependency) {
        return dependency.partitioner() instanceof PartitionIdPassthrough && !dependency.mapSideCombine()
                ? RowFormat.of(dependency.serializer())
                : null;
    }

    /** Rows go straight to native memory, relocatable records through a scratch buffer, others as streams. */
    private RecordSink<Object, Object> sink() {
        if (rows != null) {
            return new RowAppender<>(writer, memory, rows);
        }
        SerializerInstance serializer = dependency.serializer().newInstance();
        if (dependency.serializer().supportsRelocationOfSerializedObjects()) {
            return new RecordAppender<>(writer, memory, serializer);
        }
        return new StreamAppender<>(serializer, handle.conf().streamBatch(), writer::batch, memory);
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private Iterator<Product2<K, V>> combined(Iterator<Product2<K, V>> records) {
        return (Iterator) dependency.aggregator().get().combineValuesByKey(records, context);
    }

    private long append(Iterator<Product2<K, V>> records, RecordSink<Object, Object> sink)
            throws IOException {
        Partitioner partitioner = dependency.partitioner();
        long nRecords = 0;
        while (records.hasNext()) {
            Product2<K, V> record = records.next();
            K key = record._1();
            V value = record._2();
            int partition = partitioner.getPartition(key);
            if (checksums != null) {
                Compat.updateChecksum(checksums[partition], key, value);
            }
            sink.write(partition, key, value);
            nRecords++;
        }
        return nRecords;
    }

    @Override
    public Option<MapStatus> stop(boolean success) {
        close();
        if (!success || partitionBytes == null) {
            return Option.empty();
        }
        return Option.apply(Compat.mapStatus(
                VirtualLocation.of(handle.appUid(), handle.shuffleId(), exceptions), partitionBytes,
                context.taskAttemptId(), Compat.aggregateChecksums(checksums)));
    }

    private void close() {
        if (!writer.isClosed()) {
            writer.close();
            memory.release();
        }
    }

    @Override
    public long[] getPartitionLengths() {
        return partitionBytes;
    }
}
