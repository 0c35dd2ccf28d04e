package org.overhand.bench;

import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.spark.sql.SparkSession;

/** A total sort of {@link WideRows} by their random key: every byte goes through the shuffle once. */
final class Sort implements Workload {
    private static final long WARM_UP_BYTES = 256L << 20;

    private final SparkSession spark;
    private final long bytes;

    Sort(SparkSession spark, long bytes) {
        this.spark = spark;
        this.bytes = bytes;
    }

    @Override
    public List<String> steps() {
        return List.of("sort");
    }

    @Override
    public String warmUp() {
        return "small";
    }

    @Override
    public Supplier<Answer> run(String step) {
        long size = step.equals("small") ? Math.min(bytes, WARM_UP_BYTES) : bytes;
        WideRows.Sum sum = WideRows.consume(WideRows.ofBytes(spark, size).orderBy("key"));
        if (!sum.sorted()) {
            throw new IllegalStateException("the rows came back unsorted");
        }
        return () -> Answer.ofSum(sum.rows(), sum.hash(), Map.of());
    }
}
