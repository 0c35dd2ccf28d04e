package org.overhand.bench;

import io.trino.tpch.TpchColumn;
import io.trino.tpch.TpchEntity;
import io.trino.tpch.TpchTable;
import java.math.BigDecimal;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * The eight tables of TPC-H.
 *
 * <p>Money is decimal and dates are dates, as the specification has them; the generator hands out money as a
 * double of whole cents, which is rounded back to cents here.
 */
final class TpchTables implements Tables {
    private static final long serialVersionUID = 1L;
    private static final DataType MONEY = DataTypes.createDecimalType(15, 2);

    @Override
    public List<String> names() {
        return TpchTable.getTables().stream().<String>map(TpchTable::getTableName).toList();
    }

    @Override
    public StructType schema(String name) {
        List<StructField> fields = new ArrayList<>();
        for (TpchColumn<TpchEntity> column : table(name).getColumns()) {
            fields.add(DataTypes.createStructField(column.getColumnName(), type(column), false));
        }
        return DataTypes.createStructType(fields);
    }

    /** Enough for two cores, and for the big ones to grow with the scale. */
    @Override
    public int parts(String name, double scale) {
        return switch (name) {
            case "nation", "region" -> 1;
            case "lineitem" -> Math.max(2, (int) (8 * scale));
            default -> Math.max(2, (int) (2 * scale));
        };
    }

    @Override
    public Iterator<Row> rows(String name, double scale, int part, int parts) {
        TpchTable<TpchEntity> table = table(name);
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

    @SuppressWarnings("unchecked") // the tables differ in the type of their rows, which only they use
    private static TpchTable<TpchEntity> table(String name) {
        return (TpchTable<TpchEntity>) TpchTable.getTable(name);
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
