package org.overhand.tpch;

import java.io.IOException;
import java.io.InputStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * Runs the 22 queries of TPC-H, one after the other: {@code --data DIRECTORY --out DIRECTORY [--label TEXT]}.
 *
 * <p>Which shuffle they go through is the configuration's matter: this program only takes the session it is
 * given. One query runs first and is not counted, so that class loading and the first compilations are not.
 *
 * <p>Leaves in the output directory, for each query that succeeded, its rows in canonical form
 * ({@code q7.rows}: sorted, tabs between columns), and {@code summary.tsv} (query, seconds, shuffle bytes
 * written, rows). A query that fails is reported, has no rows file, and makes the exit status 1.
 */
public final class Run {
    private static final int QUERIES = 22;
    private static final int WARM_UP = 5;
    private static final String[] TABLES = {
        "customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"
    };

    private final SparkSession spark;
    private final Path out;
    private final String label;
    private final Map<Integer, Double> seconds = new TreeMap<>();
    private final Map<Integer, Integer> counts = new TreeMap<>();

    private Run(SparkSession spark, Path out, String label) {
        this.spark = spark;
        this.out = out;
        this.label = label;
    }

    public static void main(String[] args) throws IOException {
        Arguments arguments = new Arguments(args);
        Path data = Path.of(arguments.get("data")).toAbsolutePath();
        Path out = Path.of(arguments.get("out"));
        String label = arguments.get("label", "spark");

        SparkSession spark = SparkSession.builder().appName("TPC-H, " + label).getOrCreate();
        for (String table : TABLES) {
            spark.read().parquet(data.resolve(table).toUri().toString()).createOrReplaceTempView(table);
        }
        ShuffleBytes bytes = new ShuffleBytes();
        spark.sparkContext().addSparkListener(bytes);

        Files.createDirectories(out);
        Run run = new Run(spark, out, label);
        boolean complete = run.queries();
        spark.stop(); // delivers what the listener has not seen yet
        run.summary(bytes);
        System.exit(complete ? 0 : 1);
    }

    private boolean queries() throws IOException {
        boolean complete = true;

        spark.sql(text(WARM_UP)).collectAsList();
        for (int query = 1; query <= QUERIES; query++) {
            try {
                query(query);
            } catch (RuntimeException e) {
                System.out.printf("%-9s q%-2d FAILED: %s%n", label, query, e.getMessage());
                e.printStackTrace();
                complete = false;
            }
        }
        return complete;
    }

    private void query(int query) throws IOException {
        SparkContext context = spark.sparkContext();
        context.setLocalProperty(ShuffleBytes.PROPERTY, Integer.toString(query));
        long start = System.nanoTime();
        List<Row> rows = spark.sql(text(query)).collectAsList();
        double took = (System.nanoTime() - start) / 1e9;
        context.setLocalProperty(ShuffleBytes.PROPERTY, null);

        seconds.put(query, took);
        counts.put(query, rows.size());
        Files.write(out.resolve("q" + query + ".rows"), canonical(rows));
        System.out.printf("%-9s q%-2d %6.1f s  %d rows%n", label, query, took, rows.size());
    }

    private void summary(ShuffleBytes bytes) throws IOException {
        List<String> lines = new ArrayList<>();
        seconds.forEach((query, took) -> lines.add(
                query + "\t" + took + "\t" + bytes.written(query) + "\t" + counts.get(query)));
        Files.write(out.resolve("summary.tsv"), lines);
    }

    private static String text(int query) throws IOException {
        String name = "/tpch/q" + query + ".sql";
        try (InputStream in = Run.class.getResourceAsStream(name)) {
            if (in == null) {
                throw new IOException("no query text " + name + " in the jar");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    /** The rows as sorted lines, equal for equal answers whatever their order. */
    private static List<String> canonical(List<Row> rows) {
        return rows.stream().map(Run::line).sorted().toList();
    }

    private static String line(Row row) {
        List<String> fields = new ArrayList<>();
        for (int i = 0; i < row.length(); i++) {
            fields.add(field(row.get(i)));
        }
        return String.join("\t", fields);
    }

    private static String field(Object value) {
        if (value == null) {
            return "\\N";
        }
        if (value instanceof BigDecimal number) {
            return number.toPlainString();
        }
        return value.toString().replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n");
    }
}
