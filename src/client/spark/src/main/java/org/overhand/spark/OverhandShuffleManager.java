package org.overhand.spark;

import java.io.IOException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.ShuffleDependency;
import org.apache.spark.SparkConf;
import org.apache.spark.TaskContext;
import org.apache.spark.shuffle.ShuffleHandle;
import org.apache.spark.shuffle.ShuffleReadMetricsReporter;
import org.apache.spark.shuffle.ShuffleReader;
import org.apache.spark.shuffle.ShuffleWriteMetricsReporter;
import org.apache.spark.shuffle.ShuffleWriter;
import org.apache.spark.shuffle.sort.SortShuffleManager;

/**
 * Spark's entry: {@code spark.shuffle.manager=org.overhand.spark.OverhandShuffleManager}.
 *
 * <p>It extends Spark's own manager, so that SQL does not copy each row before a shuffle, block migration on
 * decommissioning finds the resolver it expects, and any shuffle may fall back: the kind of its handle says
 * who serves it.
 */
public class OverhandShuffleManager extends SortShuffleManager {
    /** How long a caller who wants to wait for a deletion does. */
    private static final int BLOCKING_MS = 3000;

    private final DriverService driver; // null on executors
    /** By shuffle: how many removals Spark has yet to pass on to {@link #unregisterShuffle}. */
    private final Map<Integer, Integer> echoes = new ConcurrentHashMap<>();

    /**
     * Made by Spark on the driver and on every executor.
     *
     * @throws UnsupportedOperationException on a Spark line the jar does not support
     * @throws IllegalArgumentException if a setting is wrong
     * @throws IllegalStateException if the service cannot be used and falling back is forbidden
     */
    public OverhandShuffleManager(SparkConf conf, boolean isDriver) {
        super(conf);
        SparkVersion.requireSupported(SparkVersion.current());
        driver = isDriver ? new DriverService(conf) : null;
    }

    @Override
    public <K, V, C> ShuffleHandle registerShuffle(int shuffleId, ShuffleDependency<K, V, C> dependency) {
        try {
            ShuffleHandle handle = driver.register(shuffleId, dependency);
            return handle != null ? handle : super.registerShuffle(shuffleId, dependency);
        } catch (IOException e) {
            throw Sneaky.raise(e);
        }
    }

    @Override
    @SuppressWarnings("unchecked")
    public <K, V> ShuffleWriter<K, V> getWriter(ShuffleHandle handle, long mapId, TaskContext context,
            ShuffleWriteMetricsReporter metrics) {
        if (!(handle instanceof OverhandShuffleHandle)) {
            return super.getWriter(handle, mapId, context, metrics);
        }
        OverhandShuffleHandle<K, V, ?> ours = (OverhandShuffleHandle<K, V, ?>) handle;
        try {
            NativeClient client = ours.holdClient();
            return new OverhandShuffleWriter<>(ours, context, metrics, client);
        } catch (IOException e) {
            throw Sneaky.raise(e);
        }
    }

    @Override
    @SuppressWarnings("unchecked")
    public <K, C> ShuffleReader<K, C> getReader(ShuffleHandle handle, int startMap, int endMap,
            int startPartition, int endPartition, TaskContext context, ShuffleReadMetricsReporter metrics) {
        if (!(handle instanceof OverhandShuffleHandle)) {
            return super.getReader(handle, startMap, endMap, startPartition, endPartition, context, metrics);
        }
        return new OverhandShuffleReader<>((OverhandShuffleHandle<K, ?, C>) handle, startMap, endMap,
                startPartition, endPartition, context, metrics);
    }

    /**
     * Called by Spark, in its own time, after each {@link #removeShuffle}: then it must delete nothing, because
     * the shuffle may be written again already. Otherwise it deletes.
     */
    @Override
    public boolean unregisterShuffle(int shuffleId) {
        if (driver != null && !takeEcho(shuffleId)) {
            driver.drop(shuffleId, 0);
        }
        return super.unregisterShuffle(shuffleId);
    }

    /** On the driver: deletes a shuffle's data at the workers, and expects Spark's call of the above. */
    void removeShuffle(int shuffleId, boolean blocking) {
        if (driver != null) {
            echoes.merge(shuffleId, 1, Integer::sum);
            driver.drop(shuffleId, blocking ? BLOCKING_MS : 0);
        }
    }

    private boolean takeEcho(int shuffleId) {
        boolean[] taken = new boolean[1];
        echoes.computeIfPresent(shuffleId, (id, n) -> {
            taken[0] = true;
            return n == 1 ? null : n - 1;
        });
        return taken[0];
    }

    /** On the driver: whether shuffles of this application go to the service. */
    boolean isServing() {
        return driver != null && driver.isServing();
    }

    @Override
    public void stop() {
        super.stop();
        if (driver != null) {
            driver.stop();
        }
        NativeClient.closeAll();
    }
}
