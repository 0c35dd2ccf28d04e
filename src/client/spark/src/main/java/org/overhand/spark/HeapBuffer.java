package org.overhand.spark;

import java.io.ByteArrayOutputStream;

/** A byte array that grows and lets its bytes be read where they are. */
final class HeapBuffer extends ByteArrayOutputStream {
    HeapBuffer(int capacity) {
        super(capacity);
    }

    /** Valid up to {@link #size} and until the next write. */
    byte[] array() {
        return buf;
    }
}
