package org.overhand.spark;

import java.io.IOException;
import org.apache.spark.Aggregator;
import org.apache.spark.InterruptibleIterator;
import org.apache.spark.ShuffleDependency;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.shuffle.ShuffleReadMetricsReporter;
import org.apache.spark.shuffle.ShuffleReader;
import org.apache.spark.storage.BlockId;
import org.apache.spark.storage.BlockManagerId;
import org.apache.spark.storage.ShuffleBlockId;
import scala.Product2;
import scala.Tuple2;
import scala.Tuple3;
import scala.collection.AbstractIterator;
import scala.collection.Iterator;
import scala.collection.Seq;

/**
 * Reads some partitions of some maps. What it must find is what Spark's map output tracker says when the
 * reader is made; blocks of any other attempt are not accepted, and the end is reported only after every
 * expected block was delivered once.
 */
public final class OverhandShuffleReader<K, C> implements ShuffleReader<K, C> {
    private final OverhandShuffleHandle<K, ?, C> handle;
    private final TaskContext context;
    private final ShuffleReadMetricsReporter metrics;
    private final ExpectedBlocks expected;

    OverhandShuffleReader(OverhandShuffleHandle<K, ?, C> handle, int startMap, int endMap, int startPartition,
            int endPartition, TaskContext context, ShuffleReadMetricsReporter metrics) {
        this.handle = handle;
        this.context = context;
        this.metrics = metrics;
        this.expected = expectedBlocks(SparkEnv.get().mapOutputTracker().getMapSizesByExecutorId(
                handle.shuffleId(), startMap, endMap, startPartition, endPartition));
    }

    private ExpectedBlocks expectedBlocks(
            Iterator<Tuple2<BlockManagerId, Seq<Tuple3<BlockId, Object, Object>>>> locations) {
        ExpectedBlocks blocks = new ExpectedBlocks();
        String ours = VirtualLocation.executorId(handle.appUid(), handle.shuffleId());
        while (locations.hasNext()) {
            Tuple2<BlockManagerId, Seq<Tuple3<BlockId, Object, Object>>> location = locations.next();
            if (!location._1().executorId().equals(ours)) {
                throw new IllegalStateException("shuffle " + handle.shuffleId() + " has output at "
                        + location._1() + ", which Overhand did not write");
            }
            if (location._1().topologyInfo().isDefined()) {
                blocks.addExceptions(location._1().topologyInfo().get());
            }
            Iterator<Tuple3<BlockId, Object, Object>> outputs = location._2().iterator();
            while (outputs.hasNext()) {
                Tuple3<BlockId, Object, Object> output = outputs.next();
                ShuffleBlockId block = (ShuffleBlockId) output._1();
                blocks.add(block.mapId(), (Integer) output._3(), block.reduceId());
            }
        }
        return blocks;
    }

    @Override
    public Iterator<Product2<K, C>> read() {
        Iterator<Product2<Object, Object>> records =
                new InterruptibleIterator<>(context, expected.isEmpty() ? new NoRecords() : records());
        return ordered(aggregated(records));
    }

    private Iterator<Product2<Object, Object>> records() {
        NativeReader reader;
        try {
            NativeClient client = handle.holdClient();
            reader = new NativeReader(client, context, handle, expected);
        } catch (IOException e) {
            throw Sneaky.raise(e);
        }
        BatchSource source = new BatchSource(reader, handle, context, metrics);
        RowFormat rows = RowFormat.of(handle.dependency().serializer());
        return rows != null ? new RowBatchIterator(source, rows.numFields())
                : new StreamBatchIterator(source, handle.dependency().serializer().newInstance());
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private Iterator<Product2<K, C>> aggregated(Iterator<Product2<Object, Object>> records) {
        ShuffleDependency<K, ?, C> dependency = handle.dependency();
        if (dependency.aggregator().isEmpty()) {
            return (Iterator) records;
        }
        Aggregator aggregator = dependency.aggregator().get();
        return dependency.mapSideCombine() ? aggregator.combineCombinersByKey(records, context)
                : aggregator.combineValuesByKey(records, context);
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private Iterator<Product2<K, C>> ordered(Iterator<Product2<K, C>> records) {
        ShuffleDependency<K, ?, C> dependency = handle.dependency();
        if (dependency.keyOrdering().isEmpty()) {
            return records;
        }
        return new InterruptibleIterator<>(context, (Iterator) Compat
                .<K, C>sorter(context, dependency.keyOrdering().get(), dependency.serializer())
                .insertAllAndUpdateMetrics(records));
    }

    /** What adaptive execution often asks for; it costs no connection. */
    private static final class NoRecords extends AbstractIterator<Product2<Object, Object>> {
        @Override
        public boolean hasNext() {
            return false;
        }

        @Override
        public Product2<Object, Object> next() {
            throw new java.util.NoSuchElementException("no records");
        }
    }
}
