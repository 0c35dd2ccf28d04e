package org.overhand.spark.test;

import static org.apache.spark.sql.functions.col;

import java.util.LinkedHashMap;
import java.util.Map;
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
        for (String adaptive : new String[] {"true", "false"}) {
            String suffix = adaptive.equals("true") ? ", adaptive" : ", not adaptive";
            cases.put("rows dealt out in another order" + suffix, spark -> consistent(spark, adaptive, dealt(spark)));
            cases.put("rows dealt out by a random number" + suffix,
                    spark -> consistent(spark, adaptive, random(spark)));
        }
        return cases;
    }

    /** Those that only checksums can tell: to Spark the plan looks as if it always gave the same rows. */
    static Map<String, Comparison.Case> withChecksums() {
        Map<String, Comparison.Case> cases = all();
        for (String adaptive : new String[] {"true", "false"}) {
            String suffix = adaptive.equals("true") ? ", adaptive" : ", not adaptive";
            cases.put("keys that only checksums know to change" + suffix,
                    spark -> consistent(spark, adaptive, changing(spark)));
        }
        return cases;
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
        return ids(spark).toDF("id").withColumn("u", org.apache.spark.sql.functions.rand()).repartition(6, col("u"))
                .select("id").as(Encoders.LONG());
    }

    private static Dataset<Long> changing(SparkSession spark) {
        MapPartitionsFunction<Long, Long> shift = records -> {
            long attempt = TaskContext.get().taskAttemptId();
            java.util.List<Long> shifted = new java.util.ArrayList<>();
            records.forEachRemaining(id -> shifted.add(id * 1000 + (id + attempt) % 6));
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
        return Queries.with(spark, "spark.sql.adaptive.enabled", adaptive,
                () -> StageLog.during(spark, () -> Queries.rows(summary(rows.mapPartitions(losing, Encoders.LONG())))
                        , log -> log.fetchFailures().isEmpty() != Faults.areOn()));
    }

    private static Dataset<Row> summary(Dataset<Long> rows) {
        return rows.toDF("id").groupBy(col("id")).count().groupBy(col("count"))
                .agg(org.apache.spark.sql.functions.count("id"), org.apache.spark.sql.functions.sum("id"));
    }
}
