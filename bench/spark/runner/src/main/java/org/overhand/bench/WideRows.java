package org.overhand.bench;

import java.io.Serializable;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;

/**
 * Rows like those of a table of sales, made inside the job so that no input is read: a random key, an identifier,
 * small integers, a price, a customer and a name; {@link #BYTES} each in Spark's row format.
 */
final class WideRows {
    /** Eight words, the bits for nulls, a string of up to 24 bytes, and the length before a row in a shuffle. */
    static final long BYTES = 8 * 8 + 8 + 24 + 4;

    private static final long PER_PART = 64L << 20; // as large as Spark cuts files

    private WideRows() {}

    static Dataset<Row> ofBytes(SparkSession spark, long bytes) {
        int parts = (int) Math.max(2, bytes / PER_PART);
        return spark.range(0, bytes / BYTES, 1, parts)
                .selectExpr(
                        "xxhash64(id) AS key",
                        "id",
                        "CAST(pmod(hash(id), 1823) AS INT) AS day",
                        "CAST(pmod(hash(id, 1), 400) AS INT) AS store",
                        "CAST(pmod(hash(id, 2), 100) AS INT) AS quantity",
                        "CAST(pmod(hash(id, 3), 100000) / 100 AS DECIMAL(7, 2)) AS price",
                        "pmod(xxhash64(id, 4), 1000000) AS customer",
                        "concat('item ', CAST(pmod(hash(id, 5), 18000) AS STRING), ' in colour') AS name");
    }

    /** What a partition holds, small enough to collect. No record: the Kryo of Spark cannot write one. */
    static final class Sum implements Serializable {
        private static final long serialVersionUID = 1L;

        private final long rows;
        private final long hash;
        private final boolean sorted;
        private final long first;
        private final long last;

        private Sum(long rows, long hash, boolean sorted, long first, long last) {
            this.rows = rows;
            this.hash = hash;
            this.sorted = sorted;
            this.first = first;
            this.last = last;
        }

        long rows() {
            return rows;
        }

        long hash() {
            return hash;
        }

        boolean sorted() {
            return sorted;
        }

        static Sum total(List<Sum> parts) {
            long rows = 0;
            long hash = 0;
            boolean sorted = true;
            long last = Long.MIN_VALUE;
            for (Sum part : parts) {
                rows += part.rows;
                hash += part.hash;
                if (part.rows > 0) {
                    sorted &= part.sorted && part.first >= last;
                    last = part.last;
                }
            }
            return new Sum(rows, hash, sorted, 0, last);
        }
    }

    /** Consume all rows; "sorted" is by the first column. */
    static Sum consume(Dataset<Row> rows) {
        return Sum.total(rows.queryExecution()
                .toRdd()
                .toJavaRDD()
                .mapPartitions(part -> List.of(sum(part)).iterator())
                .collect());
    }

    private static Sum sum(Iterator<InternalRow> rows) {
        long count = 0;
        long hash = 0;
        boolean sorted = true;
        long first = 0;
        long last = Long.MIN_VALUE;
        while (rows.hasNext()) {
            InternalRow row = rows.next();
            long key = row.getLong(0);
            if (count == 0) {
                first = key;
            }
            sorted &= key >= last;
            last = key;
            hash += row.hashCode();
            count++;
        }
        return new Sum(count, hash, sorted, first, last);
    }
}
