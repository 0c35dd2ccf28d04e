package org.overhand.spark;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import org.junit.Test;

public class ExpectedBlocksTest {
    @Test
    public void entriesComeBackInOrderBeyondTheFirstCapacity() {
        ExpectedBlocks blocks = new ExpectedBlocks();
        assertTrue(blocks.isEmpty());
        for (int i = 0; i < 1000; i++) {
            blocks.add(i * 10L, i, i % 7);
        }
        assertEquals(1000, blocks.attempts().length);
        assertEquals(9990L, blocks.attempts()[999]);
        assertEquals(999, blocks.mapIndexes()[999]);
        assertEquals(999 % 7, blocks.partitions()[999]);
    }

    @Test
    public void equalExceptionsAreKeptOnce() {
        ExpectedBlocks blocks = new ExpectedBlocks();
        blocks.addExceptions("a");
        blocks.addExceptions("b");
        blocks.addExceptions("a");
        assertArrayEquals(new String[] {"a", "b"}, blocks.exceptions());
    }
}
