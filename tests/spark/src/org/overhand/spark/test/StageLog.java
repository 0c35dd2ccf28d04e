package org.overhand.spark.test;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.apache.spark.FetchFailed;
import org.apache.spark.SparkContext;
import org.apache.spark.Success$;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.sql.SparkSession;

/** What the scheduler did since the last {@link #clear}. */
final class StageLog extends SparkListener {
    /** One attempt of a stage that has ended. */
    static final class Attempt {
        final int stage;
        final int nTasks;
        final boolean failed;

        Attempt(int stage, int nTasks, boolean failed) {
            this.stage = stage;
            this.nTasks = nTasks;
            this.failed = failed;
        }

        @Override
        public String toString() {
            return "stage " + stage + (failed ? " failed" : " ran") + " with " + nTasks + " tasks";
        }
    }

    private final List<Attempt> attempts = new ArrayList<>();
    private final List<FetchFailed> fetchFailures = new ArrayList<>();
    private int nSpeculative;
    private int nSucceeded;
    private int nFailed;

    @Override
    public synchronized void onStageCompleted(SparkListenerStageCompleted event) {
        attempts.add(new Attempt(event.stageInfo().stageId(), event.stageInfo().numTasks(),
                event.stageInfo().failureReason().isDefined()));
    }

    @Override
    public synchronized void onTaskStart(SparkListenerTaskStart event) {
        if (event.taskInfo().speculative()) {
            nSpeculative++;
        }
    }

    @Override
    public synchronized void onTaskEnd(SparkListenerTaskEnd event) {
        if (event.reason() instanceof Success$) {
            nSucceeded++;
        } else {
            nFailed++;
        }
        if (event.reason() instanceof FetchFailed) {
            fetchFailures.add((FetchFailed) event.reason());
        }
    }

    synchronized void clear() {
        attempts.clear();
        fetchFailures.clear();
        nSpeculative = 0;
        nSucceeded = 0;
        nFailed = 0;
    }

    synchronized List<Attempt> attempts() {
        return new ArrayList<>(attempts);
    }

    synchronized List<FetchFailed> fetchFailures() {
        return new ArrayList<>(fetchFailures);
    }

    synchronized int nSpeculative() {
        return nSpeculative;
    }

    /** Attempts that ended badly other than by a fetch failure. */
    synchronized int nFailedTasks() {
        return nFailed - fetchFailures.size();
    }

    /** Runs {@code work} and requires that the scheduler did meanwhile what the case is about. */
    static String during(SparkSession spark, Queries.Work work, Predicate<StageLog> happened) throws Exception {
        StageLog log = new StageLog();
        SparkContext sc = spark.sparkContext();
        sc.addSparkListener(log);
        try {
            String text = work.run();
            sc.listenerBus().waitUntilEmpty();
            Report.require(happened.test(log), "what the case is about did not happen: " + log.attempts() + ", "
                    + log.nFailedTasks() + " failed tasks, fetch failures " + log.fetchFailures());
            return text;
        } finally {
            sc.removeSparkListener(log);
        }
    }

    /** Tasks that ended well. */
    synchronized int nSucceeded() {
        return nSucceeded;
    }

    /** Tasks that ended otherwise, whoever was to blame. */
    synchronized int nFailed() {
        return nFailed;
    }
}
