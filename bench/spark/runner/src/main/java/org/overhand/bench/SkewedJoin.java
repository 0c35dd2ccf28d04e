package org.overhand.bench;

import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * A sort-merge join in which one key has half of all rows. Adaptive execution splits its partition by ranges of
 * map tasks, so that a service must serve a partition in such ranges.
 *
 * <p>From 4 GiB on Spark's own thresholds apply; below, they shrink with the size, so that there is something to
 * split.
 */
final class SkewedJoin implements Workload {
    private static final long FULL_BYTES = 4L << 30;
    private static final long WARM_UP_BYTES = 256L << 20;

    private final SparkSession spark;
    private final long bytes;

    SkewedJoin(SparkSession spark, long bytes) {
        this.spark = spark;
        this.bytes = bytes;
    }

    @Override
    public List<String> steps() {
        return List.of("skew");
    }

    @Override
    public String warmUp() {
        return "small";
    }

    @Override
    public Supplier<Answer> run(String step) {
        long size = step.equals("small") ? Math.min(bytes, WARM_UP_BYTES) : bytes;
        double share = Math.min(1, (double) size / FULL_BYTES);
        spark.conf().set("spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes", (long) (share * (256L << 20)));
        spark.conf().set("spark.sql.adaptive.advisoryPartitionSizeInBytes", (long) (share * (64L << 20)));

        Dataset<Row> facts = WideRows.ofBytes(spark, size)
                .selectExpr("IF(pmod(id, 2) = 0, 0, pmod(key, 10000)) AS k", "*")
                .drop("key");
        Dataset<Row> names = spark.range(0, 10000, 1, 2).selectExpr("id AS k", "concat('name ', id) AS of");
        Dataset<Row> joined = facts.join(names, "k");
        WideRows.Sum sum = WideRows.consume(joined);
        boolean split = joined.queryExecution().executedPlan().toString().contains("skew=true");
        return () -> Answer.ofSum(sum.rows(), sum.hash(), Map.of("skew_split", split ? 1.0 : 0.0));
    }
}
