package org.overhand.spark.test;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.BarrierTaskContext;
import org.apache.spark.HashPartitioner;
import org.apache.spark.ShuffleDependency;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.PairFunction;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.TaskCompletionListener;
import scala.Function1;
import scala.Tuple2;
import scala.collection.JavaConverters;
import scala.reflect.ClassTag$;

/**
 * Shuffles whose data are lost while somebody reads them, so that Spark runs stages again: determinate ones,
 * ones with attempts of the old stage still going on, barrier stages, and stages that give other rows in
 * another order each time they run.
 */
final class StageRetryCases {
    private static final long MIDDLE = 100;

    private StageRetryCases() {
    }

    static Map<String, Comparison.Case> all() {
        Map<String, Comparison.Case> cases = new LinkedHashMap<>();
        cases.put("a shuffle is lost in the middle of its result stage",
                spark -> retried(spark, () -> lostBelowResult(spark)));
        cases.put("a shuffle is lost in the middle of its map stage",
                spark -> retried(spark, () -> lostBelowMaps(spark)));
        cases.put("two shuffles are lost at once", spark -> retried(spark, () -> twoLost(spark)));
        cases.put("an old attempt ends after that of the stage retry",
                spark -> retried(spark, () -> zombie(spark, "retry ended", "zombie began")));
        cases.put("an old attempt ends before that of the stage retry",
                spark -> retried(spark, () -> zombie(spark, "retry began", "zombie ended")));
        cases.put("maps without order are run again with all that read them",
                spark -> retried(spark, () -> indeterminate(spark)));
        cases.put("maps without order below a result that is half done fail the job",
                StageRetryCases::indeterminateBelowResult);
        cases.put("a barrier stage fails and is run again", StageRetryCases::barrier);
        cases.put("a shuffle is lost below a barrier stage", spark -> retried(spark, () -> lostBelowBarrier(spark)));
        return cases;
    }

    private static String retried(SparkSession spark, Queries.Work work) throws Exception {
        return StageLog.during(spark, work, log -> log.fetchFailures().isEmpty() != Faults.areOn());
    }

    private static JavaPairRDD<Integer, Integer> shuffled(SparkSession spark, int nPartitions) {
        return RddCases.numbers(spark).mapToPair(i -> new Tuple2<>(i % 600, i))
                .partitionBy(new HashPartitioner(nPartitions));
    }

    private static int shuffleId(JavaPairRDD<?, ?> rdd) {
        return ((ShuffleDependency<?, ?, ?>) rdd.rdd().dependencies().head()).shuffleId();
    }

    /** Loses a shuffle when a task of the first attempt of this stage comes to its partition 2. */
    private static <T> Iterator<T> losing(Iterator<T> records, int shuffleId) {
        return new Hooked<>(records, MIDDLE, () -> {
            TaskContext task = TaskContext.get();
            if (task.partitionId() == 2 && task.stageAttemptNumber() == 0) {
                Faults.lose(shuffleId);
            }
        });
    }

    private static String lostBelowResult(SparkSession spark) {
        JavaPairRDD<Integer, Integer> shuffled = shuffled(spark, 6);
        int id = shuffleId(shuffled);
        return RddCases.text(shuffled.mapPartitionsToPair(records -> losing(records, id)));
    }

    private static String lostBelowMaps(SparkSession spark) {
        JavaPairRDD<Integer, Integer> shuffled = shuffled(spark, 6);
        int id = shuffleId(shuffled);
        return RddCases.text(shuffled.mapPartitionsToPair(records -> losing(records, id))
                .mapToPair(pair -> new Tuple2<>(pair._2() % 100, pair._1())).partitionBy(new HashPartitioner(5)));
    }

    private static String twoLost(SparkSession spark) {
        JavaPairRDD<Integer, Integer> first = shuffled(spark, 4);
        JavaPairRDD<Integer, Integer> second = first.mapToPair(Tuple2::swap).partitionBy(new HashPartitioner(6));
        int n = (int) second.count();
        return n + RddCases.text(second.mapPartitionsToPair(records -> new Hooked<>(records, MIDDLE, () -> {
            if (TaskContext.getPartitionId() == 2) {
                Faults.loseComplete();
            }
        })));
    }

    /**
     * Partition 0 of the first attempt of the reading map stage stops in its middle, another loses the shuffle,
     * and the stage runs again. The old attempt goes on at {@code goOn}, and the new one ends only after
     * {@code endAfter}.
     */
    private static String zombie(SparkSession spark, String goOn, String endAfter) {
        JavaPairRDD<Integer, Integer> shuffled = shuffled(spark, 6);
        int id = shuffleId(shuffled);
        return RddCases.text(shuffled.mapPartitionsToPair(records -> {
            if (!Faults.areOn() || TaskContext.getPartitionId() != 0) {
                return losing(records, id);
            }
            return TaskContext.get().stageAttemptNumber() == 0 ? old(records, goOn) : fresh(records, endAfter);
        }).mapToPair(pair -> new Tuple2<>(pair._2() % 100, pair._1())).partitionBy(new HashPartitioner(5)));
    }

    private static <T> Iterator<T> old(Iterator<T> records, String goOn) {
        TaskContext.get().addTaskCompletionListener((TaskCompletionListener) task -> Faults.reach("zombie ended"));
        return new Hooked<>(records, MIDDLE, () -> {
            Faults.reach("zombie began");
            Faults.await(goOn);
        });
    }

    private static <T> Iterator<T> fresh(Iterator<T> records, String endAfter) {
        TaskContext.get().addTaskCompletionListener((TaskCompletionListener) task -> Faults.reach("retry ended"));
        return new Hooked<>(records, MIDDLE, () -> {
            Faults.reach("retry began");
            Faults.await(endAfter);
        });
    }

    /** Gives every attempt its records in an order of its own. */
    static <T> Iterator<T> rotated(Iterator<T> records) {
        List<T> list = new ArrayList<>();
        records.forEachRemaining(list::add);
        Collections.rotate(list, (int) TaskContext.get().taskAttemptId() % 7 + 1);
        return list.iterator();
    }

    /** Its rows go round robin to partitions: another order puts them elsewhere. */
    private static JavaRDD<Integer> withoutOrder(SparkSession spark) {
        return shuffled(spark, 4).values().mapPartitions(StageRetryCases::rotated).repartition(6);
    }

    /** {@link JavaRDD#repartition} hides its shuffle three steps below. */
    private static int repartitionId(JavaRDD<Integer> rdd) {
        org.apache.spark.rdd.RDD<?> step = rdd.rdd();
        while (!(step.dependencies().head() instanceof ShuffleDependency)) {
            step = step.dependencies().head().rdd();
        }
        return ((ShuffleDependency<?, ?, ?>) step.dependencies().head()).shuffleId();
    }

    private static String indeterminate(SparkSession spark) {
        JavaRDD<Integer> rows = withoutOrder(spark);
        int id = repartitionId(rows);
        PairFunction<Integer, Integer, Integer> keyed = i -> new Tuple2<>(i % 100, i);
        return RddCases.text(rows.mapPartitions(records -> losing(records, id)).mapToPair(keyed)
                .partitionBy(new HashPartitioner(5)));
    }

    /** What a result task returned cannot be taken back, so Spark has to give up; the next job is right again. */
    private static String indeterminateBelowResult(SparkSession spark) {
        JavaRDD<Integer> rows = withoutOrder(spark);
        int id = repartitionId(rows);
        String failure = "none";
        try {
            rows.mapPartitions(records -> losing(records, id)).collect();
        } catch (Exception e) {
            failure = String.valueOf(e.getMessage());
        }
        Report.require(Faults.areOn() == failure.contains("indeterminate"), "the job's failure is " + failure);
        return RddCases.sorted(rows.collect());
    }

    private interface Step<T> extends Function1<scala.collection.Iterator<T>, scala.collection.Iterator<T>>,
            Serializable {
    }

    /** A stage whose two tasks meet at its beginning and run together or not at all. */
    private static <T> JavaRDD<T> together(JavaRDD<T> rdd, long failAt) {
        Step<T> step = records -> {
            BarrierTaskContext task = BarrierTaskContext.get();
            task.barrier();
            return JavaConverters.asScalaIterator(new Hooked<>(rotated(JavaConverters.asJavaIterator(records)),
                    failAt, () -> {
                        if (task.stageAttemptNumber() > 0) {
                            return;
                        }
                        if (task.partitionId() == 1) {
                            throw new IllegalStateException("this barrier stage fails on purpose");
                        }
                        task.barrier(); // until it is killed: Spark would count an output that comes behind the failure
                    }));
        };
        return rdd.rdd().barrier().mapPartitions(step, false, ClassTag$.MODULE$.apply(Object.class)).toJavaRDD();
    }

    private static String barrier(SparkSession spark) throws Exception {
        return StageLog.during(spark, () -> RddCases.text(
                together(shuffled(spark, 2).values(), MIDDLE).mapToPair(i -> new Tuple2<>(i % 100, i))
                        .partitionBy(new HashPartitioner(5))), log -> log.nFailedTasks() > 0);
    }

    /** The barrier stage ran, a reader finds its output lost, and both run again. */
    private static String lostBelowBarrier(SparkSession spark) {
        JavaPairRDD<Integer, Integer> behind = together(shuffled(spark, 2).values(), Hooked.NEVER)
                .mapToPair(i -> new Tuple2<>(i % 100, i)).partitionBy(new HashPartitioner(5));
        return RddCases.text(behind.mapPartitionsToPair(records -> new Hooked<>(records, MIDDLE, () -> {
            if (TaskContext.getPartitionId() == 2) {
                Faults.loseComplete();
            }
        })).mapToPair(Tuple2::swap).partitionBy(new HashPartitioner(3)));
    }
}
