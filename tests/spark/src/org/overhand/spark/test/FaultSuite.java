package org.overhand.spark.test;

import java.util.Arrays;
import java.util.Iterator;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.spark.SparkConf;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import scala.Tuple2;

/** Executors that are slow or die, in JVMs of their own. */
final class FaultSuite {
    private static final int N = 20000;
    private static final long SUM = (long) N * (N - 1) / 2;

    private final Report report;
    private final StageLog log = new StageLog();

    FaultSuite(Report report) {
        this.report = report;
    }

    void run() {
        report.check("faults: a speculative copy wins over a slow map task", this::speculation);
        report.check("faults: an executor dies between map and reduce", this::deadExecutor);
    }

    private void speculation() throws Exception {
        SparkConf conf = Conf.cluster(Conf.overhand("")).set("spark.speculation", "true")
                .set("spark.speculation.interval", "50ms").set("spark.speculation.multiplier", "1.1")
                .set("spark.speculation.quantile", "0.5");
        try (Standalone cluster = new Standalone();
                JavaSparkContext sc = new JavaSparkContext(conf.setMaster(cluster.master()))) {
            sc.sc().addSparkListener(log);
            long sum = sc.parallelize(numbers(), 4).mapPartitions(Slow::new)
                    .mapToPair(i -> new Tuple2<>(i % 100, (long) i)).reduceByKey(Long::sum).values()
                    .reduce(Long::sum);
            sc.sc().listenerBus().waitUntilEmpty();
            Report.require(sum == SUM, "sum is " + sum);
            Report.require(log.nSpeculative() > 0, "no task was speculated");
        }
    }

    /** The first attempt of partition 1 writes some records, then waits until it is killed. */
    private static final class Slow implements Iterator<Integer> {
        private static final int STOP_AFTER = 1000;
        private final Iterator<Integer> records;
        private int n;

        Slow(Iterator<Integer> records) {
            this.records = records;
        }

        @Override
        public boolean hasNext() {
            return records.hasNext();
        }

        @Override
        public Integer next() {
            TaskContext task = TaskContext.get();
            if (n++ == STOP_AFTER && task.partitionId() == 1 && task.attemptNumber() == 0) {
                while (!task.isInterrupted()) {
                    LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(10));
                }
            }
            return records.next();
        }
    }

    private void deadExecutor() throws Exception {
        try (JavaSparkContext sc = new JavaSparkContext(Conf.cluster(Conf.overhand("")))) {
            sc.sc().addSparkListener(log);
            org.apache.spark.api.java.JavaPairRDD<Integer, Long> sums = sc.parallelize(numbers(), 6)
                    .mapToPair(i -> new Tuple2<>(i % 100, (long) i)).reduceByKey(Long::sum, 5);
            Report.require(sums.values().reduce(Long::sum) == SUM, "wrong sum at first");
            sc.sc().killExecutor(sc.sc().getExecutorIds().head());
            sc.sc().listenerBus().waitUntilEmpty();
            log.clear();
            Report.require(sums.values().reduce(Long::sum) == SUM, "wrong sum after the loss");
            sc.sc().listenerBus().waitUntilEmpty();
            Report.require(log.fetchFailures().isEmpty() && log.attempts().size() == 1,
                    "something was computed again: " + log.attempts());
        }
    }

    private static java.util.List<Integer> numbers() {
        Integer[] numbers = new Integer[N];
        Arrays.setAll(numbers, i -> i);
        return Arrays.asList(numbers);
    }
}
