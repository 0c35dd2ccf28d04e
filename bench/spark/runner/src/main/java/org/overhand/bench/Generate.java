package org.overhand.bench;

import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/**
 * Writes the tables of a benchmark as Parquet: {@code --tables tpch|tpcds --scale N --out DIRECTORY}, a folder
 * for each table.
 */
public final class Generate {
    private Generate() {}

    public static void main(String[] args) {
        Arguments arguments = new Arguments(args);
        Tables tables = Tables.of(arguments.get("tables"));
        double scale = Double.parseDouble(arguments.get("scale"));
        String out = arguments.get("out");

        SparkSession spark = SparkSession.builder().appName("benchmark data").getOrCreate();
        for (String table : tables.names()) {
            long start = System.nanoTime();
            write(spark, tables, table, scale, out);
            System.out.printf("%-10s %5.1f s%n", table, (System.nanoTime() - start) / 1e9);
        }
        spark.stop();
    }

    private static void write(SparkSession spark, Tables tables, String table, double scale, String out) {
        int parts = tables.parts(table, scale);
        List<Integer> numbers = IntStream.rangeClosed(1, parts).boxed().toList();
        FlatMapFunction<Integer, Row> part = number -> tables.rows(table, scale, number, parts);
        JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());

        Dataset<Row> rows =
                spark.createDataFrame(context.parallelize(numbers, parts).flatMap(part), tables.schema(table));
        evenly(rows, tables, parts).write().parquet(out + "/" + table);
    }

    /** TPC-DS leaves most parts of a small table empty: then Spark deals the rows out. */
    private static Dataset<Row> evenly(Dataset<Row> rows, Tables tables, int parts) {
        return tables instanceof TpcdsTables && parts > 1 ? rows.repartition(parts) : rows;
    }
}
