package org.overhand.spark;

import java.io.IOException;

/** Takes the records of one map task and turns them into batches of bytes per partition. */
interface RecordSink<K, V> {
    void write(int partition, K key, V value) throws IOException;

    /** Hands over what is still kept on the heap; more records may follow. */
    void flush() throws IOException;

    /** After the last record. */
    void end() throws IOException;
}
