package org.overhand.spark;

import java.nio.ByteOrder;
import java.util.NoSuchElementException;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.unsafe.Platform;
import scala.Product2;
import scala.Tuple2;
import scala.collection.AbstractIterator;

/**
 * Points one reused row at each row of the native batches in turn. As with Spark's own reader, a row is
 * valid until the next one is asked for; asking whether there is a next one leaves it valid.
 */
final class RowBatchIterator extends AbstractIterator<Product2<Object, Object>> {
    private static final boolean SWAP = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN;

    private final BatchSource source;
    private final UnsafeRow row;
    private final Product2<Object, Object> pair;
    private long cursor;
    private long end;
    private boolean finished;

    RowBatchIterator(BatchSource source, int numFields) {
        this.source = source;
        this.row = new UnsafeRow(numFields);
        this.pair = new Tuple2<>(0, row); // nobody looks at the partition id on this side
    }

    @Override
    public boolean hasNext() {
        while (cursor == end && !finished) {
            if (source.next()) {
                cursor = source.address();
                end = cursor + source.length();
            } else {
                finished = true;
            }
        }
        return cursor != end;
    }

    @Override
    public Product2<Object, Object> next() {
        if (!hasNext()) {
            throw new NoSuchElementException("after the last row");
        }
        long left = end - cursor;
        int raw = left < RowFormat.SIZE_BYTES ? 0 : Platform.getInt(null, cursor);
        int size = SWAP ? Integer.reverseBytes(raw) : raw;
        if (left < RowFormat.SIZE_BYTES || size < 0 || size > left - RowFormat.SIZE_BYTES) {
            throw Sneaky.raise(source.malformed("row of " + size + " bytes with " + left + " left"));
        }
        row.pointTo(null, cursor + RowFormat.SIZE_BYTES, size);
        cursor += RowFormat.SIZE_BYTES + size;
        source.countRecord();
        return pair;
    }
}
