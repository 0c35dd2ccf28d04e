package org.overhand.bench;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * The queries of TPC-H or TPC-DS over the Parquet files that {@link Generate} wrote.
 *
 * <p>The texts are Spark's, from the jar of its SQL tests. Four queries of TPC-DS come in two variants, a and b.
 */
final class SqlQueries implements Workload {
    private static final int TPCH_QUERIES = 22;
    private static final int TPCDS_QUERIES = 99;

    private final SparkSession spark;
    private final String benchmark;
    private final List<String> steps;

    SqlQueries(SparkSession spark, String benchmark, String data) {
        this.spark = spark;
        this.benchmark = benchmark;
        Path folder = Path.of(data).toAbsolutePath();
        for (String table : Tables.of(benchmark).names()) {
            spark.read().parquet(folder.resolve(table).toUri().toString()).createOrReplaceTempView(table);
        }
        int queries = benchmark.equals("tpch") ? TPCH_QUERIES : TPCDS_QUERIES;
        List<String> found = new ArrayList<>();
        IntStream.rangeClosed(1, queries).forEach(number -> found.addAll(variants("q" + number)));
        this.steps = List.copyOf(found);
    }

    @Override
    public List<String> steps() {
        return steps;
    }

    @Override
    public String warmUp() {
        return benchmark.equals("tpch") ? "q5" : "q25"; // joins of many tables, below a grouping
    }

    @Override
    public Supplier<Answer> run(String step) throws IOException {
        List<Row> rows = spark.sql(text(step)).collectAsList();
        return () -> Answer.of(rows);
    }

    private List<String> variants(String query) {
        List<String> found = new ArrayList<>();
        for (String name : List.of(query, query + "a", query + "b")) {
            if (SqlQueries.class.getResource(resource(name)) != null) {
                found.add(name);
            }
        }
        if (found.isEmpty()) {
            throw new IllegalStateException("no text of " + query + " in the jar");
        }
        return found;
    }

    private String resource(String step) {
        return "/" + benchmark + "/" + step + ".sql";
    }

    private String text(String step) throws IOException {
        try (InputStream in = SqlQueries.class.getResourceAsStream(resource(step))) {
            if (in == null) {
                throw new IOException("no query text " + resource(step) + " in the jar");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
