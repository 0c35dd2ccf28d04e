package org.overhand.spark;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.HashMap;
import java.util.Map;
import org.junit.Test;

public class OverhandConfTest {
    private final Map<String, String> settings = new HashMap<>();

    private OverhandConf conf() {
        settings.putIfAbsent(OverhandConf.MASTERS, "m1:9700,m2:9700");
        return new OverhandConf(settings, true, "lz4");
    }

    private void refuses(String key, String value, String... parts) {
        settings.put(key, value);
        try {
            conf();
        } catch (IllegalArgumentException e) {
            for (String part : parts) {
                assertTrue(e.getMessage(), e.getMessage().contains(part));
            }
            settings.remove(key);
            return;
        }
        fail(key + "=" + value + " was accepted");
    }

    @Test
    public void onlyMastersMustBeSet() {
        OverhandConf conf = conf();
        assertEquals("m1:9700,m2:9700", conf.masters());
        assertEquals(OverhandConf.Fallback.AUTO, conf.fallback());
        assertEquals(5000, conf.fallbackTimeoutMs());
        assertEquals(64L << 20, conf.writerMemory());
        assertEquals(256 << 10, conf.streamBatch());
        assertEquals(48L << 20, conf.readerWindow());
    }

    @Test
    public void thereAreOneOrTwoCopies() {
        assertEquals(1, conf().replicas());
        settings.put(OverhandConf.REPLICAS, "2");
        assertEquals(2, conf().replicas());
        refuses(OverhandConf.REPLICAS, "0", "spark.overhand.replicas=0", "from 1 to 2");
        refuses(OverhandConf.REPLICAS, "3", "spark.overhand.replicas=3", "from 1 to 2");
        refuses(OverhandConf.REPLICAS, "two", "spark.overhand.replicas=two", "whole number");
    }

    @Test
    public void missingMastersAreNamed() {
        try {
            new OverhandConf(new HashMap<>(), true, "lz4");
            fail("no masters were accepted");
        } catch (IllegalArgumentException e) {
            assertTrue(e.getMessage(), e.getMessage().contains("spark.overhand.masters"));
        }
    }

    @Test
    public void mastersMayBeMissingWhenNobodyIsAsked() {
        settings.put(OverhandConf.FALLBACK, "always");
        assertEquals("", new OverhandConf(settings, true, "lz4").masters());
    }

    @Test
    public void sizesAndTimesAreWrittenTheSparkWay() {
        settings.put(OverhandConf.WRITER_MEMORY, "1g");
        settings.put(OverhandConf.STREAM_BATCH, "2048");
        settings.put(OverhandConf.FALLBACK_TIMEOUT, "2min");
        OverhandConf conf = conf();
        assertEquals(1L << 30, conf.writerMemory());
        assertEquals(2048, conf.streamBatch());
        assertEquals(120_000, conf.fallbackTimeoutMs());
    }

    @Test
    public void badValuesAreNamedWithTheirKey() {
        refuses(OverhandConf.WRITER_MEMORY, "lots", "spark.overhand.writer.memory=lots", "size");
        refuses(OverhandConf.WRITER_MEMORY, "1k", "spark.overhand.writer.memory=1k");
        refuses(OverhandConf.FALLBACK_TIMEOUT, "soon", "spark.overhand.fallback.timeout=soon", "time");
        refuses(OverhandConf.FALLBACK, "maybe", "auto, never or always");
        refuses(OverhandConf.CODEC, "gzip", "lz4, zstd or none");
        refuses(OverhandConf.CODEC_LEVEL, "23", "1 to 22");
        refuses(OverhandConf.COMPRESS_THREADS, "x", "whole number");
    }

    @Test
    public void unknownKeysAreNamedWithTheNearest() {
        refuses("spark.overhand.writer.memroy", "1m", "spark.overhand.writer.memroy",
                "nearest is spark.overhand.writer.memory");
    }

    @Test
    public void codecComesFromOurKeyThenFromSparks() {
        settings.put(OverhandConf.MASTERS, "m:1");
        assertEquals(2, new OverhandConf(settings, true, "lz4").codec());
        assertEquals(3, new OverhandConf(settings, true, "zstd").codec());
        assertEquals(3, new OverhandConf(settings, true, "org.apache.spark.io.ZStdCompressionCodec").codec());
        assertEquals(2, new OverhandConf(settings, true, "snappy").codec());
        settings.put(OverhandConf.CODEC, "none");
        assertEquals(1, new OverhandConf(settings, true, "zstd").codec());
        settings.put(OverhandConf.CODEC, "zstd");
        assertEquals(3, new OverhandConf(settings, true, "lz4").codec());
    }

    @Test
    public void nothingIsCompressedWhenSparkSaysSo() {
        settings.put(OverhandConf.MASTERS, "m:1");
        settings.put(OverhandConf.CODEC, "zstd");
        assertEquals(1, new OverhandConf(settings, false, "lz4").codec());
    }

    @Test
    public void distanceCountsEdits() {
        assertEquals(0, OverhandConf.distance("abc", "abc"));
        assertEquals(1, OverhandConf.distance("abc", "abcd"));
        assertEquals(3, OverhandConf.distance("", "abc"));
        assertEquals(2, OverhandConf.distance("memroy", "memory"));
    }
}
