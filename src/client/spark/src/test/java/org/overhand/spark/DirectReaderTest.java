package org.overhand.spark;

import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.overhand.spark.DirectReader.ADAPTIVE_PLAN;
import static org.overhand.spark.DirectReader.DELTA_WRITER;
import static org.overhand.spark.DirectReader.EXCHANGE;

import org.junit.Test;

public class DirectReaderTest {
    private static final String EXCHANGED = EXCHANGE + " doExecute";

    @Test
    public void anybodyElseReadsThroughTheManager() {
        assertFalse(DirectReader.isRegistering(false));
        assertFalse(declares(EXCHANGED, ADAPTIVE_PLAN + " doExecute"));
    }

    @Test
    public void theWritersOwnShuffleIsFound() {
        assertTrue(declares(EXCHANGED, DELTA_WRITER + " getShuffleRDD", DELTA_WRITER + " doExecute"));
        assertTrue(declares(DELTA_WRITER + " anything"));
    }

    @Test
    public void aStageOfTheQueryBelowIsNot() {
        assertFalse(declares(ADAPTIVE_PLAN + " doExecute", EXCHANGED, DELTA_WRITER + " getShuffleRDD"));
    }

    @Test
    public void anExchangeOfTheQueryBelowIsNot() {
        assertFalse(declares(EXCHANGED, EXCHANGED, DELTA_WRITER + " getShuffleRDD"));
        assertFalse(declares(EXCHANGED, DELTA_WRITER + " childNumPartitions$lzycompute",
                DELTA_WRITER + " getShuffleRDD"));
    }

    @Test
    public void onlyAWriterWithTheFieldCanUseTheManager() {
        ClassLoader loader = getClass().getClassLoader();
        assertTrue(DirectReader.canUseManager(NewWriter.class.getName(), loader));
        assertFalse(DirectReader.canUseManager(DirectReaderTest.class.getName(), loader));
        assertFalse(DirectReader.canUseManager(DELTA_WRITER, loader));
    }

    /** Frames from the innermost out, each as CLASS METHOD. */
    private static boolean declares(String... frames) {
        StackTraceElement[] stack = new StackTraceElement[frames.length];
        for (int i = 0; i < frames.length; i++) {
            String[] words = frames[i].split(" ");
            stack[i] = new StackTraceElement(words[0], words[1], null, -1);
        }
        return DirectReader.declaresItsOwn(stack);
    }

    private static final class NewWriter {
        boolean useShuffleManager;
    }
}
