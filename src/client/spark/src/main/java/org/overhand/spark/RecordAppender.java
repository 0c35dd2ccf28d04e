package org.overhand.spark;

import java.io.IOException;
import org.apache.spark.serializer.SerializationStream;
import org.apache.spark.serializer.SerializerInstance;
import org.apache.spark.unsafe.Platform;
import scala.reflect.ClassTag;
import scala.reflect.ClassTag$;

/**
 * For serializers whose records may be cut apart and put together in another order (Kryo): one stream for
 * the task, flushed after each record into a scratch buffer and copied whole to the partition's block.
 */
final class RecordAppender<K, V> implements RecordSink<K, V> {
    private static final int SCRATCH_BYTES = 4096;
    private static final int END_OFFSET = 8; // struct overhand_slot

    private final NativeWriter writer;
    private final WriterMemory memory;
    private final HeapBuffer scratch = new HeapBuffer(SCRATCH_BYTES);
    private final SerializationStream stream;
    private final ClassTag<Object> tag = ClassTag$.MODULE$.Object();

    RecordAppender(NativeWriter writer, WriterMemory memory, SerializerInstance serializer) {
        this.writer = writer;
        this.memory = memory;
        this.stream = serializer.serializeStream(scratch);
    }

    @Override
    public void write(int partition, K key, V value) throws IOException {
        stream.writeKey(key, tag);
        stream.writeValue(value, tag);
        stream.flush();
        append(partition);
        scratch.reset();
    }

    private void append(int partition) throws IOException {
        int size = scratch.size();
        long slot = writer.slot(partition);
        long cursor = Platform.getLong(null, slot);
        if (Platform.getLong(null, slot + END_OFFSET) - cursor < size) {
            memory.extend(partition, size);
            cursor = Platform.getLong(null, slot);
        }
        Platform.copyMemory(scratch.array(), Platform.BYTE_ARRAY_OFFSET, null, cursor, size);
        Platform.putLong(null, slot, cursor + size);
    }

    @Override
    public void flush() {
        // a record leaves the heap as soon as it is serialised
    }

    @Override
    public void end() {
        stream.close();
        if (scratch.size() != 0) {
            throw new IllegalStateException("the serializer claims that its records are relocatable, but "
                    + "wrote " + scratch.size() + " bytes after the last one");
        }
    }
}
