package org.overhand.spark;

import java.lang.reflect.Field;
import org.apache.spark.serializer.Serializer;
import org.apache.spark.sql.execution.metric.SQLMetric;

/**
 * What Spark's row serializer knows of its rows. Rows are written as that serializer writes them, a
 * big-endian size and the row's bytes, but without passing through its streams.
 */
final class RowFormat {
    /** Bytes of the size in front of each row. */
    static final int SIZE_BYTES = 4;
    private static final String ROW_SERIALIZER = "org.apache.spark.sql.execution.UnsafeRowSerializer";

    private final int numFields;
    private final Object dataSize;

    private RowFormat(int numFields, Object dataSize) {
        this.numFields = numFields;
        this.dataSize = dataSize;
    }

    /** Null for any serializer but Spark's own for rows, or if its fields cannot be read. */
    static RowFormat of(Serializer serializer) {
        if (!serializer.getClass().getName().equals(ROW_SERIALIZER)) {
            return null;
        }
        Object numFields = fieldOf(serializer, "numFields");
        if (!(numFields instanceof Integer) || !hasField(serializer, "dataSize")) {
            return null;
        }
        return new RowFormat((Integer) numFields, fieldOf(serializer, "dataSize"));
    }

    /** A private field of a Spark object; null when it is not there or cannot be read. */
    static Object fieldOf(Object object, String name) {
        try {
            Field field = object.getClass().getDeclaredField(name);
            field.setAccessible(true);
            return field.get(object);
        } catch (ReflectiveOperationException e) {
            return null;
        }
    }

    static boolean hasField(Object object, String name) {
        try {
            object.getClass().getDeclaredField(name);
            return true;
        } catch (NoSuchFieldException e) {
            return false;
        }
    }

    int numFields() {
        return numFields;
    }

    /** Adds to the exchange's data size, by which adaptive execution plans joins. */
    void addDataSize(long bytes) {
        if (dataSize != null) {
            ((SQLMetric) dataSize).add(bytes);
        }
    }
}
