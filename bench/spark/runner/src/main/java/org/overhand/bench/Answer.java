package org.overhand.bench;

import java.math.BigDecimal;
import java.math.MathContext;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;

/**
 * What a step answered, in a form that is equal for equal answers whatever the order of their rows.
 *
 * @param rows how many
 * @param digest of all rows
 * @param lines the rows, sorted, tabs between columns; empty where the answer is too large to keep
 * @param figures what the step measured of itself, by name; may be empty
 */
record Answer(long rows, String digest, List<String> lines, Map<String, Double> figures) {
    /** Doubles are sums whose last bits follow the order of the rows: they are compared to ten digits. */
    private static final MathContext DOUBLE = new MathContext(10);

    static Answer of(List<Row> rows) {
        List<String> lines = rows.stream().map(Answer::line).sorted().toList();
        return new Answer(lines.size(), digest(lines), lines, Map.of());
    }

    /** An answer too large for one machine's memory, summed where its rows are. */
    static Answer ofSum(long rows, long sum, Map<String, Double> figures) {
        return new Answer(rows, Long.toHexString(sum), List.of(), figures);
    }

    private static String digest(List<String> lines) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (String line : lines) {
                digest.update(line.getBytes(StandardCharsets.UTF_8));
                digest.update((byte) '\n');
            }
            return HexFormat.of().formatHex(digest.digest(), 0, 8);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
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
        if (value instanceof Double number && Double.isFinite(number)) {
            return new BigDecimal(number).round(DOUBLE).toPlainString();
        }
        return value.toString().replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n");
    }
}
