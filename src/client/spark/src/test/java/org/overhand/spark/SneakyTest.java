package org.overhand.spark;

import static org.junit.Assert.assertSame;

import org.junit.Test;

public class SneakyTest {
    @Test
    public void theVeryExceptionIsThrown() {
        Exception checked = new Exception("checked");
        try {
            throw Sneaky.raise(checked);
        } catch (Exception e) {
            assertSame(checked, e);
        }
    }
}
