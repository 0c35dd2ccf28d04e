package org.overhand.spark.test;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.HashPartitioner;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.TaskCompletionListener;
import scala.Tuple2;

/** Attempts of map and reduce tasks that end at every stage of their lives, and jobs that are cancelled. */
final class TaskFaultCases {
    private static final long MIDDLE = 1000;

    private TaskFaultCases() {
    }

    static Map<String, Comparison.Case> all() {
        Map<String, Comparison.Case> cases = new LinkedHashMap<>();
        add(cases, "before the first record", "first");
        add(cases, "in the middle", "middle");
        add(cases, "after the last record", "end");
        add(cases, "after all of it was acknowledged", "acknowledged");
        add(cases, "three times in the middle", "thrice");
        cases.put("a job is cancelled while its maps write, then run again", TaskFaultCases::cancelled);
        return cases;
    }

    private static void add(Map<String, Comparison.Case> cases, String when, String how) {
        cases.put("a map task of records fails " + when, spark -> failed(spark, () -> records(spark, how, "none")));
        cases.put("a map task of rows fails " + when, spark -> failed(spark, () -> rows(spark, how, "none")));
        cases.put("a reduce task of records fails " + when, spark -> failed(spark, () -> records(spark, "none", how)));
        cases.put("a reduce task of rows fails " + when, spark -> failed(spark, () -> rows(spark, "none", how)));
    }

    private static String failed(SparkSession spark, Queries.Work work) throws Exception {
        return StageLog.during(spark, work, log -> log.nFailedTasks() > 0);
    }

    private static <T> Iterator<T> failing(Iterator<T> records, String how) {
        switch (how) {
            case "none":
                return records;
            case "first":
                return new Hooked<>(records, 0, () -> Faults.failTask(1));
            case "middle":
                return new Hooked<>(records, MIDDLE, () -> Faults.failTask(1));
            case "end":
                return new Hooked<>(records, Hooked.END, () -> Faults.failTask(1));
            case "thrice":
                return new Hooked<>(records, MIDDLE, () -> Faults.failTask(3));
            case "acknowledged": // listeners run when the task's own work is done
                TaskContext.get().addTaskCompletionListener(
                        (TaskCompletionListener) ignored -> Faults.failTask(1));
                return records;
            default:
                throw new IllegalArgumentException(how);
        }
    }

    private static String records(SparkSession spark, String mapFails, String reduceFails) {
        JavaPairRDD<Integer, Long> shuffled = RddCases.numbers(spark)
                .mapPartitions(records -> failing(records, mapFails))
                .mapToPair(i -> new Tuple2<>(i % 500, (long) i)).partitionBy(new HashPartitioner(4));
        return RddCases.text(shuffled.mapPartitionsToPair(records -> failing(records, reduceFails)));
    }

    private static String rows(SparkSession spark, String mapFails, String reduceFails) {
        MapPartitionsFunction<Long, Long> map = records -> failing(records, mapFails);
        MapPartitionsFunction<Long, Long> reduce = records -> failing(records, reduceFails);
        return Queries.rows(spark.range(0, 20000, 1, 4).as(Encoders.LONG()).mapPartitions(map, Encoders.LONG())
                .repartition(4).mapPartitions(reduce, Encoders.LONG()).toDF());
    }

    /** Every map stops half-way, the job is cancelled, and the same shuffle is then written by a second job. */
    private static String cancelled(SparkSession spark) throws Exception {
        JavaSparkContext sc = RddCases.context(spark);
        JavaPairRDD<Integer, Integer> shuffled = RddCases.numbers(spark)
                .mapPartitions(records -> new Hooked<>(records, MIDDLE, TaskFaultCases::pauseUntilCancelled))
                .mapToPair(i -> new Tuple2<>(i % 500, i)).partitionBy(new HashPartitioner(4));
        Thread job = new Thread(() -> {
            sc.setJobGroup("to be cancelled", "maps that pause", true);
            try {
                shuffled.count();
            } catch (Exception e) {
                Faults.reach("cancelled");
            }
        });
        job.start();
        Faults.await("paused");
        sc.cancelJobGroup("to be cancelled");
        job.join();
        Faults.await("cancelled");
        return RddCases.text(shuffled);
    }

    private static void pauseUntilCancelled() {
        if (Faults.reach("paused")) {
            Faults.await("cancelled");
        }
    }
}
