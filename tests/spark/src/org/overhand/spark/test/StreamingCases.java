package org.overhand.spark.test;

import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.window;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import org.apache.spark.api.java.function.VoidFunction2;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.Trigger;

/**
 * Streams with state over files, one file to a batch: run to the end of what is there, stopped, started again
 * from the checkpoint with more files. The rows of every batch count.
 */
final class StreamingCases {
    private static final int N_FILES = 3; // of each of the two runs
    private static final int N_LINES = 400;

    private StreamingCases() {
    }

    /** Turns the lines of the stream into what is written. */
    interface Query {
        Dataset<Row> of(Dataset<Row> events);
    }

    static Map<String, Comparison.Case> all() {
        Map<String, Comparison.Case> cases = new LinkedHashMap<>();
        cases.put("an aggregate, restarted from its checkpoint", spark -> restarted(spark, "complete",
                events -> events.groupBy("k").agg(sum("v"))));
        cases.put("updates of windows with a watermark", spark -> restarted(spark, "update",
                events -> events.withWatermark("time", "1 minute").groupBy(
                        window(events.col("time"), "30 seconds"), events.col("k"))
                        .count()));
        cases.put("duplicates dropped over batches", spark -> restarted(spark, "append",
                events -> events.dropDuplicates(new String[] {"k"}).select("k")));
        cases.put("a join of two streams", spark -> restarted(spark, "append",
                events -> events.where("k < 5").select("k", "v").as("a")
                        .join(events.where("k < 5 and v % 10 = 0").selectExpr("k as k2", "v as v2"),
                                expr("k = k2 and v = v2"))));
        return cases;
    }

    private static String restarted(SparkSession spark, String mode, Query query) throws Exception {
        Path dir = Files.createTempDirectory(Paths.get(System.getProperty("overhand.test.dir")), "stream");
        Map<Long, String> batches = new ConcurrentSkipListMap<>();
        write(dir, 0);
        runToEnd(spark, dir, mode, query, batches);
        int n = batches.size();
        write(dir, N_FILES);
        SparkInternals.dropAllShuffles(); // state and checkpoint are all a stream may need
        runToEnd(spark, dir, mode, query, batches);
        Report.require(n >= N_FILES && batches.size() >= 2 * N_FILES, "batches: " + batches.keySet());
        return new TreeMap<>(batches).toString();
    }

    private static void write(Path dir, int first) throws Exception {
        Files.createDirectories(dir.resolve("in"));
        for (int file = first; file < first + N_FILES; file++) {
            List<String> lines = new ArrayList<>();
            for (int i = 0; i < N_LINES; i++) {
                int v = file * N_LINES + i;
                lines.add("{\"k\":" + v * 7 % 31 + ",\"v\":" + v + ",\"s\":" + v + "}");
            }
            File hidden = dir.resolve("in/." + file).toFile();
            Files.write(hidden.toPath(), lines, StandardCharsets.UTF_8);
            // Files come in the order of their times, which a fast machine makes equal.
            Report.require(hidden.setLastModified(1_000_000_000L + file * 10_000L), "cannot date " + hidden);
            Files.move(hidden.toPath(), dir.resolve("in/" + file + ".json"));
        }
    }

    private static void runToEnd(SparkSession spark, Path dir, String mode, Query query, Map<Long, String> batches)
            throws Exception {
        Dataset<Row> events = spark.readStream().schema("k long, v long, s long")
                .option("maxFilesPerTrigger", 1).json(dir.resolve("in").toString())
                .withColumn("time", expr("timestamp_seconds(s)"));
        VoidFunction2<Dataset<Row>, Long> keep = (rows, id) -> batches.put(id, Queries.rows(rows));
        query.of(events).writeStream().outputMode(mode).option("checkpointLocation", dir.resolve("state").toString())
                .trigger(Trigger.AvailableNow()).foreachBatch(keep).start().awaitTermination();
    }
}
