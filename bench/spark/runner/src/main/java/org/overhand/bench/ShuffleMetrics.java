package org.overhand.bench;

import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.spark.executor.ShuffleReadMetrics;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;

/**
 * Sums what the tasks of each step wrote to a shuffle and read from it.
 *
 * <p>Events come late, on a thread of Spark's, so "the step that runs now" would be the wrong one: the step's
 * number travels as a local property from the thread that starts it to its stages. Read the sums when the
 * listener bus is empty.
 */
final class ShuffleMetrics extends SparkListener {
    static final String PROPERTY = "overhand.bench.step";

    /** The sums of one step, in bytes and records. */
    static final class Sums {
        long written;
        long records;
        long readRemote;
        long readLocal;
        long shuffles;
    }

    private final Map<Integer, String> stepOfStage = new HashMap<>();
    private final Map<String, Sums> sums = new HashMap<>();

    @Override
    public synchronized void onStageSubmitted(SparkListenerStageSubmitted event) {
        Properties properties = event.properties();
        String step = properties == null ? null : properties.getProperty(PROPERTY);
        if (step != null) {
            stepOfStage.put(event.stageInfo().stageId(), step);
            if (event.stageInfo().shuffleDepId().isDefined()) {
                of(step).shuffles++;
            }
        }
    }

    @Override
    public synchronized void onTaskEnd(SparkListenerTaskEnd event) {
        String step = stepOfStage.get(event.stageId());
        TaskMetrics metrics = event.taskMetrics();
        if (step == null || metrics == null) {
            return;
        }
        Sums sum = of(step);
        ShuffleReadMetrics read = metrics.shuffleReadMetrics();
        sum.written += metrics.shuffleWriteMetrics().bytesWritten();
        sum.records += metrics.shuffleWriteMetrics().recordsWritten();
        sum.readRemote += read.remoteBytesRead();
        sum.readLocal += read.localBytesRead();
    }

    synchronized Sums of(String step) {
        return sums.computeIfAbsent(step, name -> new Sums());
    }
}
