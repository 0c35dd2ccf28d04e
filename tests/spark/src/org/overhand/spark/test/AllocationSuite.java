package org.overhand.spark.test;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.spark.HashPartitioner;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.ExecutorDecommissionInfo;
import org.apache.spark.scheduler.cluster.CoarseGrainedSchedulerBackend;
import scala.Option;
import scala.Tuple2;

/** Executors that go because Spark sends them away: idle ones, decommissioned ones. Nothing is computed again. */
final class AllocationSuite {
    private static final int N = 20000;
    private static final long SUM = (long) N * (N - 1) / 2;
    private static final long LIMIT_NS = TimeUnit.SECONDS.toNanos(300);

    private final Report report;

    AllocationSuite(Report report) {
        this.report = report;
    }

    void run() {
        report.check("allocation: idle executors go although they wrote shuffle data, and nothing is computed again",
                this::idle);
        report.check("allocation: a decommissioned executor takes nothing with it", this::decommissioned);
        report.check("allocation: an executor is decommissioned in the middle of a map task",
                this::decommissionedWriting);
    }

    private void idle() throws Exception {
        SparkConf conf = Conf.cluster(Conf.overhand("")).set("spark.dynamicAllocation.enabled", "true")
                .set("spark.dynamicAllocation.minExecutors", "0").set("spark.dynamicAllocation.maxExecutors", "2")
                .set("spark.dynamicAllocation.executorIdleTimeout", "1s")
                .set("spark.dynamicAllocation.schedulerBacklogTimeout", "1s");
        withShuffle(conf, (sc, sums) -> {
            awaitExecutors(sc, 0);
            requireNothingAgain(sc, sums);
        });
    }

    private void decommissioned() throws Exception {
        withShuffle(decommissioning(), (sc, sums) -> {
            String gone = sc.sc().getExecutorIds().head();
            decommission(sc, gone);
            awaitGone(sc, gone);
            requireNothingAgain(sc, sums);
        });
    }

    /** Spark lets the task end; its data stay. */
    private void decommissionedWriting() throws Exception {
        Marks marks = new Marks();
        try (JavaSparkContext sc = new JavaSparkContext(decommissioning())) {
            awaitExecutors(sc, 2);
            Thread job = new Thread(() -> {
                marks.await("writing");
                decommission(sc, sc.sc().getExecutorIds().head());
                marks.reach("decommissioned", "");
            });
            job.start();
            long sum = KillSuite.numbers(sc, N, 6).mapPartitions(rows -> new Hooked<>(rows, 1000, () -> {
                marks.reach("writing", "");
                marks.await("decommissioned");
            })).mapToPair(i -> new Tuple2<>(i % 100, (long) i)).reduceByKey(Long::sum, 5).values().reduce(Long::sum);
            job.join();
            Report.require(sum == SUM, "sum is " + sum);
        }
    }

    private static SparkConf decommissioning() {
        return Conf.cluster(Conf.overhand("")).set("spark.decommission.enabled", "true")
                .set("spark.storage.decommission.enabled", "true")
                .set("spark.storage.decommission.shuffleBlocks.enabled", "true")
                .set("spark.storage.decommission.rddBlocks.enabled", "true");
    }

    private interface Work {
        void run(JavaSparkContext sc, JavaPairRDD<Integer, Long> sums) throws Exception;
    }

    private static void withShuffle(SparkConf conf, Work work) throws Exception {
        try (JavaSparkContext sc = new JavaSparkContext(conf)) {
            JavaPairRDD<Integer, Long> sums = KillSuite.numbers(sc, N, 6)
                    .mapToPair(i -> new Tuple2<>(i % 100, (long) i)).partitionBy(new HashPartitioner(5));
            Report.require(sums.values().reduce(Long::sum) == SUM, "wrong sum at first");
            work.run(sc, sums);
        }
    }

    private static void requireNothingAgain(JavaSparkContext sc, JavaPairRDD<Integer, Long> sums) throws Exception {
        sc.sc().listenerBus().waitUntilEmpty();
        StageLog log = new StageLog();
        sc.sc().addSparkListener(log);
        Report.require(sums.values().reduce(Long::sum) == SUM, "wrong sum after the loss");
        sc.sc().listenerBus().waitUntilEmpty();
        Report.require(log.fetchFailures().isEmpty() && log.attempts().size() == 1,
                "something was computed again: " + log.attempts());
    }

    private static void decommission(JavaSparkContext sc, String executor) {
        CoarseGrainedSchedulerBackend backend = (CoarseGrainedSchedulerBackend) sc.sc().schedulerBackend();
        Report.require(backend.decommissionExecutor(executor,
                new ExecutorDecommissionInfo("for the test", Option.empty()), false, false),
                "executor " + executor + " is not there to be decommissioned");
    }

    private static void awaitExecutors(JavaSparkContext sc, int n) {
        await(() -> sc.sc().getExecutorIds().size() == n, "there never are " + n + " executors");
    }

    private static void awaitGone(JavaSparkContext sc, String executor) {
        await(() -> !sc.sc().getExecutorIds().contains(executor), "executor " + executor + " stays");
    }

    private interface Condition {
        boolean holds();
    }

    private static void await(Condition condition, String otherwise) {
        long begin = System.nanoTime();
        while (!condition.holds()) {
            Report.require(System.nanoTime() - begin < LIMIT_NS, otherwise);
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
        }
    }
}
