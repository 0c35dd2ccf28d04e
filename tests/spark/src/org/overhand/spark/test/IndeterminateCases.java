package org.overhand.spark.test;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.rand;
import static org.apache.spark.sql.functions.sum;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * Rows that a stage gives otherwise each time it runs. Their shuffle is lost when a part of the stage that
 * reads it is done; an id is right if it comes out once, with whatever the last run gave it. Spark decides by
 * what it knows of the plan, and from 4.1 on by the checksums of what each map wrote.
 */
final class IndeterminateCases {
    private IndeterminateCases() {
    }

    static Map<String, Comparison.Case> all() {
        Map<String, Comparison.Case> cases = new LinkedHashMap<>();
        add(cases, "rows dealt out in another order", IndeterminateCases::dealt);
        return cases;
    }

    /** With those that only checksums can tell: to Spark their plans look as if they always gave the same rows. */
    static Map<String, Comparison.Case> withChecksums() {
        Map<String, Comparison.Case> cases = all();
        add(cases, "rows dealt out by a random number", IndeterminateCases::random);
        add(cases, "rows dealt out by what changes with the attempt", IndeterminateCases::changing);
        return cases;
    }

    private static void add(Map<String, Comparison.Case> cases, String name,
            Function<SparkSession, Dataset<Long>> rows) {
        cases.put(name + ", adaptive", spark -> consistent(spark, "true", rows.apply(spark)));
        cases.put(name + ", not adaptive", spark -> consistent(spark, "false", rows.apply(spark)));
    }

    private static Dataset<Long> ids(SparkSession spark) {
        MapPartitionsFunction<Long, Long> rotate = StageRetryCases::rotated;
        return spark.range(0, 20000, 1, 4).as(Encoders.LONG()).repartition(4, col("id"))
                .mapPartitions(rotate, Encoders.LONG());
    }

    private static Dataset<Long> dealt(SparkSession spark) {
        return ids(spark).repartition(6);
    }

    private static Dataset<Long> random(SparkSession spark) {
        return ids(spark).toDF("id").withColumn("u", rand()).repartition(6, col("u"))
                .select("id").as(Encoders.LONG());
    }

    private static Dataset<Long> changing(SparkSession spark) {
        MapPartitionsFunction<Long, Long> shift = records -> {
            long attempt = TaskContext.get().taskAttemptId();
            List<Long> shifted = new ArrayList<>();
            records.forEachRemaining(id -> shifted.add(id * 1000 + (id + attempt) % 600));
            return shifted.iterator();
        };
        return ids(spark).mapPartitions(shift, Encoders.LONG()).toDF("salted")
                .selectExpr("salted", "salted % 1000 as salt").repartition(6, col("salt"))
                .selectExpr("salted div 1000 as id").as(Encoders.LONG());
    }

    private static String consistent(SparkSession spark, String adaptive, Dataset<Long> rows) throws Exception {
        MapPartitionsFunction<Long, Long> losing = records -> new Hooked<>(records, 100, () -> {
            if (TaskContext.getPartitionId() == 3) {
                Faults.loseComplete();
            }
        });
        Queries.Work work = () -> Queries.rows(summary(rows.mapPartitions(losing, Encoders.LONG())));
        return Queries.with(spark, "spark.sql.adaptive.enabled", adaptive,
                () -> StageLog.during(spark, work, log -> log.fetchFailures().isEmpty() != Faults.areOn()));
    }

    /** One row for each number of times that an id came out: a single row when all is well. */
    private static Dataset<Row> summary(Dataset<Long> rows) {
        return rows.toDF("id").groupBy(col("id")).count().groupBy(col("count"))
                .agg(count("id"), sum("id"));
    }
}
