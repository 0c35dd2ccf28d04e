package org.overhand.spark;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import org.apache.spark.unsafe.Platform;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;

public class BatchInputStreamTest {
    private static final int LEN = 10;
    private long memory;
    private BatchInputStream in;

    @Before
    public void fill() {
        memory = Platform.allocateMemory(LEN);
        for (int i = 0; i < LEN; i++) {
            Platform.putByte(null, memory + i, (byte) (250 + i));
        }
        in = new BatchInputStream(memory, LEN);
    }

    @After
    public void free() {
        Platform.freeMemory(memory);
    }

    @Test
    public void bytesAreUnsignedAndEndWithMinusOne() {
        for (int i = 0; i < LEN; i++) {
            assertEquals((250 + i) & 0xff, in.read());
        }
        assertEquals(-1, in.read());
        assertEquals(-1, in.read(new byte[1], 0, 1));
        assertEquals(0, in.read(new byte[1], 0, 0));
    }

    @Test
    public void arraysAreFilledAsFarAsBytesGo() {
        byte[] into = new byte[16];
        assertEquals(4, in.read(into, 2, 4));
        assertArrayEquals(new byte[] {0, 0, (byte) 250, (byte) 251, (byte) 252, (byte) 253, 0, 0},
                java.util.Arrays.copyOf(into, 8));
        assertEquals(2, in.skip(2));
        assertEquals(4, in.available());
        assertEquals(4, in.read(into, 0, 16));
        assertEquals(0, in.skip(5));
    }

    @Test(expected = IndexOutOfBoundsException.class)
    public void rangesOutsideTheArrayAreRefused() {
        in.read(new byte[4], 2, 3);
    }
}
