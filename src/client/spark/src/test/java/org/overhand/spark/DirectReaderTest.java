package org.overhand.spark;

import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import org.junit.Test;

public class DirectReaderTest {
    @Test
    public void anybodyElseReadsThroughTheManager() {
        assertFalse(DirectReader.isRegistering(true));
    }

    @Test
    public void aWriterThatCannotReadThroughTheManagerIsFound() {
        assertTrue(OldWriter.declare(true));
    }

    @Test
    public void aWriterThatCanAndIsToldToIsServed() {
        assertFalse(NewWriter.declare(true));
    }

    @Test
    public void aWriterThatCanButIsNotToldToIsFound() {
        assertTrue(NewWriter.declare(false));
    }

    @Test
    public void aWriterThatCannotBeLoadedHereIsFound() {
        assertTrue(DirectReader.isRegistering(true, DirectReaderTest.class.getName(), new ClassLoader(null) {
        }));
    }

    private static final class OldWriter {
        static boolean declare(boolean told) {
            return DirectReader.isRegistering(told, OldWriter.class.getName(), OldWriter.class.getClassLoader());
        }
    }

    private static final class NewWriter {
        private static boolean useShuffleManager;

        static boolean declare(boolean told) {
            return DirectReader.isRegistering(told, NewWriter.class.getName(), NewWriter.class.getClassLoader())
                    || useShuffleManager;
        }
    }
}
