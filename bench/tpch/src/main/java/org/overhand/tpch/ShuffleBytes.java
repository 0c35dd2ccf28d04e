package org.overhand.tpch;

import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;

/**
 * Sums the shuffle bytes that each query's tasks wrote.
 *
 * <p>Events come late, on a thread of Spark's, so "the query that runs now" would be the wrong one: the
 * query's number travels as a local property from the thread that starts it to its stages. Read the sums
 * after the session has stopped, which waits for the last event.
 */
final class ShuffleBytes extends SparkListener {
    static final String PROPERTY = "overhand.tpch.query";

    private final Map<Integer, Integer> queryOfStage = new HashMap<>();
    private final Map<Integer, Long> writtenByQuery = new HashMap<>();

    @Override
    public synchronized void onStageSubmitted(SparkListenerStageSubmitted event) {
        Properties properties = event.properties();
        String query = properties == null ? null : properties.getProperty(PROPERTY);
        if (query != null) {
            queryOfStage.put(event.stageInfo().stageId(), Integer.valueOf(query));
        }
    }

    @Override
    public synchronized void onTaskEnd(SparkListenerTaskEnd event) {
        Integer query = queryOfStage.get(event.stageId());
        TaskMetrics metrics = event.taskMetrics();
        if (query != null && metrics != null) {
            writtenByQuery.merge(query, metrics.shuffleWriteMetrics().bytesWritten(), Long::sum);
        }
    }

    synchronized long written(int query) {
        return writtenByQuery.getOrDefault(query, 0L);
    }
}
