package org.overhand.spark;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;

import org.junit.Test;

public class RowFormatTest {
    @Test
    public void privateFieldsAreReadOrNull() {
        assertEquals(7, RowFormat.fieldOf(new Object() {
            @SuppressWarnings("unused")
            private final int hidden = 7;
        }, "hidden"));
        assertNull(RowFormat.fieldOf("text", "noSuchField"));
        assertFalse(RowFormat.hasField("text", "noSuchField"));
    }
}
