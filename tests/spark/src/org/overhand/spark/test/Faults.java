package org.overhand.spark.test;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;

/**
 * Faults that tasks of a local application bring about themselves. Losses happen only while Overhand shuffles:
 * Spark's own run, which gives the expected answer, goes undisturbed.
 */
final class Faults {
    private static final long LIMIT_NS = TimeUnit.SECONDS.toNanos(300);
    private static final Map<String, Boolean> REACHED = new ConcurrentHashMap<>();

    private Faults() {
    }

    /** Forgets what was reached: a new case begins. */
    static void reset() {
        REACHED.clear();
    }

    static boolean areOn() {
        return SparkEnv.get().shuffleManager().getClass().getName().startsWith("org.overhand.");
    }

    /** Notes that a point was reached. True the first time. */
    static boolean reach(String point) {
        return REACHED.put(point, true) == null;
    }

    /** Waits until a point was reached; fails the task when it never is. */
    static void await(String point) {
        long begin = System.nanoTime();
        while (!REACHED.containsKey(point)) {
            Report.require(System.nanoTime() - begin < LIMIT_NS, "never reached: " + point);
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(5));
        }
    }

    /** Fails the first {@code nAttempts} attempts of the second task of a stage. */
    static void failTask(int nAttempts) {
        TaskContext task = TaskContext.get();
        if (task.partitionId() == 1 && task.attemptNumber() < nAttempts) {
            throw new IllegalStateException("this attempt fails on purpose");
        }
    }

    /** Once in a case: workers lose a shuffle while Spark goes on believing in it. */
    static void lose(int shuffleId) {
        if (areOn() && reach("lost")) {
            SparkEnv.get().shuffleManager().unregisterShuffle(shuffleId);
        }
    }

    /** Once in a case: workers lose every shuffle that is complete, not the one that is being written. */
    static void loseComplete() {
        if (areOn() && reach("lost")) {
            SparkInternals.dropCompleteShuffles();
        }
    }
}
