package org.overhand.tpch;

import io.trino.tpch.TpchColumn;
import io.trino.tpch.TpchEntity;
import io.trino.tpch.TpchTable;
import java.math.BigDecimal;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * Writes the eight tables of TPC-H as Parquet: {@code --scale N --out DIRECTORY}, a folder for each table.
 *
 * <p>The generator can start at any part of a table, so each Spark task makes one part by itself. Money is
 * decimal and dates are dates, as the specification has them; the generator hands out money as a double of
 * whole cents, which is rounded back to cents here.
 */
public final class Generate {
    private static final DataType MONEY = DataTypes.createDecimalType(15, 2);

    private Generate() {}

    public static void main(String[] args) {
        Arguments arguments = new Arguments(args);
        double scale = Double.parseDouble(arguments.get("scale"));
        String out = arguments.get("out");

        SparkSession spark = SparkSession.builder().appName("TPC-H data").getOrCreate();
        for (TpchTable<?> table : TpchTable.getTables()) {
            long start = System.nanoTime();
            write(spark, table.getTableName(), scale, out);
            System.out.printf("%-10s %5.1f s%n", table.getTableName(), (System.nanoTime() - start) / 1e9);
        }
        spark.stop();
    }

    private static void write(SparkSession spark, String table, double scale, String out) {
        int parts = parts(table, scale);
        List<Integer> numbers = IntStream.rangeClosed(1, parts).boxed().toList();
        FlatMapFunction<Integer, Row> part = number -> rows(table(table), scale, number, parts);
        JavaSparkContext context = JavaSparkContext.fromSparkContext(spark.sparkContext());

        spark.createDataFrame(context.parallelize(numbers, parts).flatMap(part), schema(table(table)))
                .write()
                .parquet(out + "/" + table);
    }

    /** How many files a table gets: enough for two cores, and for the big ones to grow with the scale. */
    private static int parts(String table, double scale) {
        return switch (table) {
            case "nation", "region" -> 1;
            case "lineitem" -> Math.max(2, (int) (8 * scale));
            default -> Math.max(2, (int) (2 * scale));
        };
    }

    @SuppressWarnings("unchecked") // the tables differ in the type of their rows, which only they use
    private static TpchTable<TpchEntity> table(String name) {
        return (TpchTable<TpchEntity>) TpchTable.getTable(name);
    }

    private static StructType schema(TpchTable<TpchEntity> table) {
        List<StructField> fields = new ArrayList<>();
        for (TpchColumn<TpchEntity> column : table.getColumns()) {
            fields.add(DataTypes.createStructField(column.getColumnName(), type(column), false));
        }
        return DataTypes.createStructType(fields);
    }

    private static DataType type(TpchColumn<TpchEntity> column) {
        return switch (column.getType().getBase()) {
            case IDENTIFIER -> DataTypes.LongType;
            case INTEGER -> DataTypes.IntegerType;
            case DOUBLE -> MONEY;
            case DATE -> DataTypes.DateType;
            case VARCHAR -> DataTypes.StringType;
        };
    }

    private static Iterator<Row> rows(TpchTable<TpchEntity> table, double scale, int part, int parts) {
        List<TpchColumn<TpchEntity>> columns = table.getColumns();
        Iterator<TpchEntity> entities = table.createGenerator(scale, part, parts).iterator();
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return entities.hasNext();
            }

            @Override
            public Row next() {
                TpchEntity entity = entities.next();
                return RowFactory.create(columns.stream().map(column -> value(column, entity)).toArray());
            }
        };
    }

    private static Object value(TpchColumn<TpchEntity> column, TpchEntity entity) {
        return switch (column.getType().getBase()) {
            case IDENTIFIER -> column.getIdentifier(entity);
            case INTEGER -> column.getInteger(entity);
            case DOUBLE -> BigDecimal.valueOf(Math.round(column.getDouble(entity) * 100), 2);
            case DATE -> java.sql.Date.valueOf(LocalDate.ofEpochDay(column.getDate(entity)));
            case VARCHAR -> column.getString(entity);
        };
    }
}
