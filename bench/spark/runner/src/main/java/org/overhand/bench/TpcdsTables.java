package org.overhand.bench;

import io.trino.tpcds.Results;
import io.trino.tpcds.Session;
import io.trino.tpcds.Table;
import io.trino.tpcds.column.Column;
import io.trino.tpcds.column.ColumnType;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * The twenty-four tables of TPC-DS, with the types that Spark's own TPC-DS tests give them: keys are integers,
 * money is decimal(7,2).
 *
 * <p>The generator hands out every value as text. Three of its column names differ from those the queries use.
 * It cuts only tables of a million rows and more, the other parts of smaller ones are empty; the tables that
 * hold sales and returns are therefore spread over the files of {@link Generate} by Spark.
 */
final class TpcdsTables implements Tables {
    private static final long serialVersionUID = 1L;
    private static final Map<String, String> NAMES = Map.of(
            "c_last_review_date_sk", "c_last_review_date",
            "s_tax_precentage", "s_tax_percentage",
            "p_response_targe", "p_response_target");

    @Override
    public List<String> names() {
        return Table.getBaseTables().stream()
                .filter(table -> table != Table.DBGEN_VERSION) // the time of generation: no query reads it
                .map(Table::getName)
                .toList();
    }

    @Override
    public StructType schema(String name) {
        List<StructField> fields = new ArrayList<>();
        for (Column column : Table.getTable(name).getColumns()) {
            String as = NAMES.getOrDefault(column.getName(), column.getName());
            fields.add(DataTypes.createStructField(as, type(column.getType()), true));
        }
        return DataTypes.createStructType(fields);
    }

    @Override
    public int parts(String name, double scale) {
        return switch (name) {
            case "store_sales", "catalog_sales", "web_sales", "store_returns", "catalog_returns", "web_returns",
                    "inventory", "customer_demographics" -> Math.max(2, (int) (8 * scale));
            default -> 1;
        };
    }

    @Override
    public Iterator<Row> rows(String name, double scale, int part, int parts) {
        Table table = Table.getTable(name);
        ColumnType[] types = Arrays.stream(table.getColumns()).map(Column::getType).toArray(ColumnType[]::new);
        Session session = Session.getDefaultSession()
                .withTable(table)
                .withScale(scale)
                .withParallelism(parts)
                .withChunkNumber(part);
        Iterator<List<List<String>>> rows = Results.constructResults(table, session).iterator();
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return rows.hasNext();
            }

            @Override
            public Row next() {
                return row(types, rows.next().get(0));
            }
        };
    }

    private static Row row(ColumnType[] types, List<String> texts) {
        Object[] values = new Object[types.length];
        for (int i = 0; i < types.length; i++) {
            String text = texts.get(i);
            values[i] = text == null ? null : value(types[i], text);
        }
        return RowFactory.create(values);
    }

    private static DataType type(ColumnType type) {
        return switch (type.getBase()) {
            case IDENTIFIER, INTEGER -> DataTypes.IntegerType;
            case DECIMAL -> DataTypes.createDecimalType(type.getPrecision().get(), type.getScale().get());
            case DATE -> DataTypes.DateType;
            case VARCHAR, CHAR, TIME -> DataTypes.StringType;
        };
    }

    private static Object value(ColumnType type, String text) {
        return switch (type.getBase()) {
            case IDENTIFIER, INTEGER -> Integer.valueOf(text);
            case DECIMAL -> new BigDecimal(text);
            case DATE -> java.sql.Date.valueOf(text);
            case VARCHAR, CHAR, TIME -> text;
        };
    }
}
