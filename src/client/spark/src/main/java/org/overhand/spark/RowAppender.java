package org.overhand.spark;

import java.io.IOException;
import java.nio.ByteOrder;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.unsafe.Platform;

/** Copies each row once, from where Spark has it to its partition's block in native memory. */
final class RowAppender<K, V> implements RecordSink<K, V> {
    private static final boolean SWAP = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN;
    private static final int END_OFFSET = 8; // struct overhand_slot

    private final NativeWriter writer;
    private final WriterMemory memory;
    private final RowFormat format;
    private long dataSize;

    RowAppender(NativeWriter writer, WriterMemory memory, RowFormat format) {
        this.writer = writer;
        this.memory = memory;
        this.format = format;
    }

    @Override
    public void write(int partition, K key, V value) throws IOException {
        UnsafeRow row = (UnsafeRow) value;
        int size = row.getSizeInBytes();
        long need = (long) size + RowFormat.SIZE_BYTES;
        long slot = writer.slot(partition);
        long cursor = Platform.getLong(null, slot);
        if (Platform.getLong(null, slot + END_OFFSET) - cursor < need) {
            memory.extend(partition, need);
            cursor = Platform.getLong(null, slot);
        }
        Platform.putInt(null, cursor, SWAP ? Integer.reverseBytes(size) : size);
        Platform.copyMemory(row.getBaseObject(), row.getBaseOffset(), null, cursor + RowFormat.SIZE_BYTES,
                size);
        Platform.putLong(null, slot, cursor + need);
        dataSize += size;
    }

    @Override
    public void flush() {
        // rows are never kept on the heap
    }

    @Override
    public void end() {
        format.addDataSize(dataSize);
    }
}
