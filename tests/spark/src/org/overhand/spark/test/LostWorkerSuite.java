package org.overhand.spark.test;

import java.util.Arrays;
import java.util.List;
import org.apache.spark.FetchFailed;
import org.apache.spark.HashPartitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaSparkContext;
import scala.Tuple2;

/**
 * The first of all tests: a worker is killed after two shuffles were written. Reading one of them must fail
 * with its virtual location, make Spark run exactly its maps again, and give the right sum; the other one
 * must not be touched until it is read itself.
 */
final class LostWorkerSuite {
    private static final int N_MAPS = 8;
    private static final int N_PARTITIONS = 64;
    private static final int N = 20000;
    private static final long SUM = (long) N * (N - 1) / 2;

    private final Report report;
    private final StageLog log = new StageLog();
    private JavaSparkContext sc;

    LostWorkerSuite(Report report) {
        this.report = report;
    }

    void run() {
        try {
            report.check("lost worker: exactly the lost shuffle is computed again", this::lostWorker);
            report.check("lost worker: the native library's warning is in the executors' logs",
                    () -> Files.await("work", "WARN Native: client/read: shuffle "));
        } finally {
            if (sc != null) {
                sc.stop();
            }
        }
    }

    private void lostWorker() throws Exception {
        sc = new JavaSparkContext(Conf.cluster(Conf.overhand("")));
        sc.sc().addSparkListener(log);
        JavaPairRDD<Integer, Integer> first = shuffled();
        JavaPairRDD<Integer, Integer> second = shuffled();
        Report.require(sum(first) == SUM && sum(second) == SUM, "wrong sum before the loss");
        settle();
        Report.require(log.fetchFailures().isEmpty(), "fetch failure without a loss");
        killUntilRead(first);
        checkRecomputed();
        Report.require(SparkInternals.tracker().getNumAvailableOutputs(shuffleId(second)) == N_MAPS,
                "the other shuffle lost outputs");
        Report.require(sum(second) == SUM, "wrong sum of the other shuffle");
    }

    private JavaPairRDD<Integer, Integer> shuffled() {
        Integer[] numbers = new Integer[N];
        Arrays.setAll(numbers, i -> i);
        return sc.parallelize(Arrays.asList(numbers), N_MAPS).mapToPair(i -> new Tuple2<>(i, i))
                .partitionBy(new HashPartitioner(N_PARTITIONS));
    }

    private static long sum(JavaPairRDD<Integer, Integer> rdd) {
        return rdd.values().map(value -> (long) value).reduce(Long::sum);
    }

    private static int shuffleId(JavaPairRDD<Integer, Integer> rdd) {
        return ((org.apache.spark.ShuffleDependency<?, ?, ?>) rdd.rdd().dependencies().head()).shuffleId();
    }

    /** A small shuffle lies on few workers, so the first one killed need not hold any of it. */
    private void killUntilRead(JavaPairRDD<Integer, Integer> rdd) throws Exception {
        List<Long> workers = Workers.pids();
        while (workers.size() > 1 && log.fetchFailures().isEmpty()) {
            Workers.kill(workers.remove(0));
            log.clear();
            Report.require(sum(rdd) == SUM, "wrong sum after the loss");
            settle();
        }
        Report.require(!log.fetchFailures().isEmpty(), "no worker held data of the shuffle");
    }

    private void checkRecomputed() {
        for (FetchFailed failure : log.fetchFailures()) {
            String location = failure.bmAddress().executorId();
            Report.require(location.startsWith("overhand-") && failure.mapIndex() == -1,
                    "fetch failure names " + location + ", map index " + failure.mapIndex());
        }
        int nMapAttempts = 0;
        int nReads = 0;
        for (StageLog.Attempt attempt : log.attempts()) {
            if (attempt.nTasks == N_MAPS) {
                nMapAttempts++;
            } else if (!attempt.failed) {
                nReads++;
            }
        }
        Report.require(nMapAttempts == 1 && nReads == 1, "not one run of all maps and one successful read, but "
                + log.attempts());
    }

    /** Listeners run behind the scheduler. */
    private void settle() throws Exception {
        sc.sc().listenerBus().waitUntilEmpty();
    }
}
