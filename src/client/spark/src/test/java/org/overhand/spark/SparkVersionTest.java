package org.overhand.spark;

import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import org.junit.Test;

public class SparkVersionTest {
    @Test
    public void supportedLinesAreAccepted() {
        for (String version : new String[] {"3.4.0", "3.5.9", "3.5.9-vendor.1", "4.0.5", "4.1.4", "4.2.1",
            "4.3.0", "4.3.0-SNAPSHOT"}) {
            SparkVersion.requireSupported(version);
        }
    }

    @Test
    public void otherLinesAreRefusedByVersionAndRange() {
        for (String version : new String[] {"2.4.8", "3.3.4", "4.4.0", "5.0.0", "unknown", ""}) {
            try {
                SparkVersion.requireSupported(version);
                fail(version + " was accepted");
            } catch (UnsupportedOperationException e) {
                assertTrue(e.getMessage(), e.getMessage().contains("Spark " + version));
                assertTrue(e.getMessage(), e.getMessage().contains("3.4 to 4.3"));
            }
        }
    }

    @Test
    public void linesCompareAsNumbers() {
        assertTrue(SparkVersion.isBetween("4.10.0", "4.2", "4.12"));
        assertFalse(SparkVersion.isBetween("4.10.0", "4.2", "4.9"));
    }

    @Test
    public void reliableStorageIsKnownFrom35AndPluginsComeFirstFrom40() {
        assertFalse(SparkVersion.asksForReliableStorage("3.4.4"));
        assertTrue(SparkVersion.asksForReliableStorage("3.5.0"));
        assertFalse(SparkVersion.startsPluginsFirst("3.5.9"));
        assertTrue(SparkVersion.startsPluginsFirst("4.0.0"));
    }
}
