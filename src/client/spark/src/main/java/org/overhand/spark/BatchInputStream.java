package org.overhand.spark;

import java.io.InputStream;
import org.apache.spark.unsafe.Platform;

/** The bytes of one native batch. Closing frees nothing: the native reader owns the memory. */
final class BatchInputStream extends InputStream {
    private long cursor;
    private final long end;

    BatchInputStream(long address, long length) {
        cursor = address;
        end = address + length;
    }

    @Override
    public int read() {
        return cursor == end ? -1 : Platform.getByte(null, cursor++) & 0xff;
    }

    @Override
    public int read(byte[] into, int offset, int length) {
        if (offset < 0 || length < 0 || length > into.length - offset) {
            throw new IndexOutOfBoundsException("offset " + offset + ", length " + length + " in an array of "
                    + into.length);
        }
        if (length == 0) {
            return 0;
        }
        if (cursor == end) {
            return -1;
        }
        int n = (int) Math.min(length, end - cursor);
        Platform.copyMemory(null, cursor, into, (long) Platform.BYTE_ARRAY_OFFSET + offset, n);
        cursor += n;
        return n;
    }

    @Override
    public long skip(long n) {
        long skipped = Math.max(0, Math.min(n, end - cursor));
        cursor += skipped;
        return skipped;
    }

    @Override
    public int available() {
        return (int) Math.min(Integer.MAX_VALUE, end - cursor);
    }
}
