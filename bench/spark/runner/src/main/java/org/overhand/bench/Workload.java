package org.overhand.bench;

import java.io.IOException;
import java.util.List;
import java.util.function.Supplier;
import org.apache.spark.sql.SparkSession;

/** A list of steps, each of which is timed by itself. */
interface Workload {
    /** All steps in the order in which they run. */
    List<String> steps();

    /** The step that warms a virtual machine up when not all of them shall. */
    String warmUp();

    /**
     * Run one step to its end. What is returned makes the answer out of what the step kept, after the clock has
     * stopped.
     */
    Supplier<Answer> run(String step) throws IOException;

    static Workload of(String name, SparkSession spark, Arguments arguments) throws IOException {
        return switch (name) {
            case "tpch", "tpcds" -> new SqlQueries(spark, name, arguments.get("data"));
            case "sort" -> new Sort(spark, arguments.number("bytes"));
            case "skew" -> new SkewedJoin(spark, arguments.number("bytes"));
            case "blocks" -> new TinyBlocks(spark, (int) arguments.number("width"));
            case "shuffles" -> new TinyShuffles(spark, (int) arguments.number("count"));
            default -> throw new IllegalArgumentException("no such workload: " + name);
        };
    }
}
