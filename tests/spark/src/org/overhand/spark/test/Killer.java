package org.overhand.spark.test;

import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;

/**
 * Kills at random moments, from one seed: a worker, which is started again after a while on its directory, or
 * an executor, for which Spark starts another. At most one worker is away at a time. A moment is a number of
 * tasks that succeeded since the last one, so that a slow machine gets as far as a fast one, and a while on top,
 * so that it falls anywhere into a task.
 */
final class Killer extends SparkListener implements AutoCloseable {
    private static final int N_TASKS_MAX = 25;
    private static final int WHILE_MAX_MS = 500;
    private static final int AWAY_MAX_MS = 2000;

    private final Daemons daemons;
    private final Random random;
    private final Thread thread = new Thread(this::run);
    private final long seed;
    private boolean ending;
    private Exception failure;
    private int nTasks; // that succeeded since the last blow
    private int nWorkers;
    private int nExecutors;

    Killer(Daemons daemons, long seed) {
        this.daemons = daemons;
        this.seed = seed;
        random = new Random(seed);
        System.out.println("seed " + seed + " (OVERHAND_SEED)");
        thread.start();
    }

    private void run() {
        try {
            while (awaitTasks() && pause(WHILE_MAX_MS)) {
                if (random.nextBoolean()) {
                    killWorker();
                } else {
                    killExecutor();
                }
            }
        } catch (Exception e) {
            synchronized (this) {
                failure = e;
            }
        }
    }

    @Override
    public synchronized void onTaskEnd(SparkListenerTaskEnd event) {
        if (event.taskInfo().successful()) {
            nTasks++;
            notifyAll();
        }
    }

    /** False when it is time to end. */
    private synchronized boolean awaitTasks() throws InterruptedException {
        nTasks = 0;
        int n = 1 + random.nextInt(N_TASKS_MAX);
        while (!ending && nTasks < n) {
            wait();
        }
        return !ending;
    }

    /** False when it is time to end. */
    private synchronized boolean pause(int maxMs) throws InterruptedException {
        long until = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(random.nextInt(maxMs));
        long left;
        while (!ending && (left = until - System.nanoTime()) > 0) {
            TimeUnit.NANOSECONDS.timedWait(this, left);
        }
        return !ending;
    }

    private void killWorker() throws Exception {
        int worker = random.nextInt(daemons.nWorkers());
        System.out.println("killer: worker " + worker);
        daemons.killWorker(worker);
        synchronized (this) {
            nWorkers++;
        }
        pause(AWAY_MAX_MS);
        daemons.startWorker(worker);
    }

    private void killExecutor() throws Exception {
        List<ProcessHandle> executors = ProcessHandle.current().children().filter(
                child -> child.info().commandLine().orElse("").contains("CoarseGrainedExecutorBackend"))
                .collect(Collectors.toList());
        int which = random.nextInt(2);
        if (which >= executors.size()) {
            return; // that one is just being started
        }
        ProcessHandle executor = executors.get(which);
        System.out.println("killer: executor with pid " + executor.pid());
        executor.destroyForcibly();
        executor.onExit().get(30, TimeUnit.SECONDS);
        synchronized (this) {
            nExecutors++;
        }
    }

    synchronized boolean hasKilled(int n) {
        return failure != null || nWorkers >= n && nExecutors >= n;
    }

    @Override
    public synchronized String toString() {
        return nWorkers + " workers and " + nExecutors + " executors, seed " + seed;
    }

    @Override
    public void close() throws Exception {
        synchronized (this) {
            ending = true;
            notifyAll();
        }
        thread.join();
        if (failure != null) {
            throw failure;
        }
    }
}
