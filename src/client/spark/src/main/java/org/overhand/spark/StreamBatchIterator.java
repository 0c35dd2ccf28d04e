package org.overhand.spark;

import java.util.NoSuchElementException;
import org.apache.spark.serializer.SerializerInstance;
import scala.Product2;
import scala.Tuple2;
import scala.collection.AbstractIterator;
import scala.collection.Iterator;

/** Reads each batch as a stream of its own, with any serializer. */
final class StreamBatchIterator extends AbstractIterator<Product2<Object, Object>> {
    private final BatchSource source;
    private final SerializerInstance serializer;
    private Iterator<Tuple2<Object, Object>> batch;
    private boolean finished;

    StreamBatchIterator(BatchSource source, SerializerInstance serializer) {
        this.source = source;
        this.serializer = serializer;
    }

    @Override
    public boolean hasNext() {
        while (!finished && (batch == null || !batch.hasNext())) {
            if (source.next()) {
                batch = serializer.deserializeStream(new BatchInputStream(source.address(), source.length()))
                        .asKeyValueIterator();
            } else {
                finished = true;
                batch = null;
            }
        }
        return !finished;
    }

    @Override
    public Product2<Object, Object> next() {
        if (!hasNext()) {
            throw new NoSuchElementException("after the last record");
        }
        source.countRecord();
        return batch.next();
    }
}
