package org.overhand.spark.test;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.spark.HashPartitioner;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkException;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function;
import scala.Tuple2;

/**
 * Two copies on three workers with hosts of their own: one worker is killed while maps write, another while
 * reducers of a later shuffle read. No task may fail and no map may run again. With one worker left, two
 * copies cannot be placed.
 */
final class ReplicaSuite {
    private static final int N_MAPS = 6;
    private static final int N_PARTITIONS = 8;
    private static final int N = 60000;
    private static final long SUM = (long) N * (N - 1) / 2;
    private static final int JOB_SECONDS = 240;
    private static final long REFUSED_WITHIN_NS = TimeUnit.SECONDS.toNanos(120);

    private final Report report;
    private final StageLog log = new StageLog();
    private final List<Long> workers = Workers.pids();

    ReplicaSuite(Report report) {
        this.report = report;
    }

    void run() {
        try (JavaSparkContext sc = new JavaSparkContext(conf("never"))) {
            sc.sc().addSparkListener(log);
            report.check("replicas: a worker killed while maps write costs nothing",
                    () -> killDuring(sc, "write", workers.get(0)));
            report.check("replicas: a worker killed while reducers read costs nothing",
                    () -> killDuring(sc, "read", workers.get(1)));
            report.check("replicas: two copies on one host are refused with the reason",
                    () -> refused(sc));
        }
        report.check("replicas: what cannot have two copies falls back with a warning", this::fallsBack);
    }

    private static SparkConf conf(String fallback) {
        return Conf.cluster(Conf.overhand("")).set("spark.overhand.replicas", "2")
                .set("spark.overhand.fallback", fallback);
    }

    /** Half-way through its records, one task of the phase waits until the worker is dead. */
    private static final class Gate implements Function<Integer, Integer> {
        private static final long serialVersionUID = 1L;
        private final boolean closed;
        private final String reached;
        private final String open;
        private transient int n;

        Gate(boolean closed, String name) {
            this.closed = closed;
            reached = Files.path(name + "-reached").toString();
            open = Files.path(name + "-open").toString();
        }

        @Override
        public Integer call(Integer value) throws Exception {
            int half = N / (N_MAPS + N_PARTITIONS) / 2;
            if (closed && ++n == half && TaskContext.get().partitionId() == N_MAPS - 1) {
                Files.mark(reached);
                Files.awaitMark(open);
            }
            return value;
        }
    }

    private void killDuring(JavaSparkContext sc, String phase, long worker) throws Exception {
        log.clear();
        Gate writing = new Gate(phase.equals("write"), phase);
        Gate reading = new Gate(phase.equals("read"), phase);
        CompletableFuture<Long> sum = CompletableFuture.supplyAsync(() -> sc.parallelize(numbers(), N_MAPS)
                .map(writing).mapToPair(i -> new Tuple2<>(i, i)).partitionBy(new HashPartitioner(N_PARTITIONS))
                .values().map(reading).map(i -> (long) i).reduce(Long::sum));
        Files.awaitMark(Files.path(phase + "-reached").toString());
        Workers.kill(worker);
        Files.mark(Files.path(phase + "-open").toString());
        Report.require(sum.get(JOB_SECONDS, TimeUnit.SECONDS) == SUM, "wrong sum: " + sum.get());
        sc.sc().listenerBus().waitUntilEmpty();
        Report.require(log.nFailed() == 0, log.nFailed() + " tasks failed");
        Report.require(log.nSucceeded() == N_MAPS + N_PARTITIONS && log.attempts().size() == 2,
                "something was computed again: " + log.nSucceeded() + " tasks, " + log.attempts());
    }

    /** Masters need some time to believe that the workers are dead; shuffles until then may fail in any way. */
    private static void refused(JavaSparkContext sc) {
        long end = System.nanoTime() + REFUSED_WITHIN_NS;
        String last = "a shuffle was served";
        while (System.nanoTime() < end) {
            try {
                small(sc);
            } catch (Exception e) {
                last = messages(e);
                if (last.contains("NO_WORKERS")) {
                    return;
                }
            }
        }
        throw new AssertionError("not refused with NO_WORKERS, but: " + last);
    }

    private static String messages(Throwable e) {
        return e == null ? "" : e.getMessage() + "; " + messages(e.getCause());
    }

    private void fallsBack() throws Exception {
        try (JavaSparkContext sc = new JavaSparkContext(conf("auto"))) {
            small(sc);
        }
        Files.await("replicas.log", "falls back to Spark's own shuffle");
    }

    private static void small(JavaSparkContext sc) throws SparkException {
        long n = sc.parallelize(Arrays.asList(1, 2, 3, 4), 2).mapToPair(i -> new Tuple2<>(i % 2, i))
                .reduceByKey(Integer::sum).count();
        Report.require(n == 2, n + " keys");
    }

    private static List<Integer> numbers() {
        Integer[] numbers = new Integer[N];
        Arrays.setAll(numbers, i -> i);
        return Arrays.asList(numbers);
    }
}
