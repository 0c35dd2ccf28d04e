package org.overhand.bench;

import java.io.Serializable;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;

/**
 * The tables of one benchmark, and a generator that can make each of them in parts.
 *
 * <p>Part {@code n} of {@code parts} is made alone, by one task of Spark's; all parts together are the table.
 */
interface Tables extends Serializable {
    List<String> names();

    StructType schema(String table);

    /** Into how many parts the table is cut at this scale. */
    int parts(String table, double scale);

    /** The rows of one part, counted from 1. */
    Iterator<Row> rows(String table, double scale, int part, int parts);

    static Tables of(String benchmark) {
        return switch (benchmark) {
            case "tpch" -> new TpchTables();
            case "tpcds" -> new TpcdsTables();
            default -> throw new IllegalArgumentException("there are tpch and tpcds, not " + benchmark);
        };
    }
}
