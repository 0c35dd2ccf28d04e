package org.overhand.spark;

import java.io.Serializable;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.SparkConf;
import org.apache.spark.network.util.JavaUtils;
import scala.Tuple2;

/**
 * The plugin's settings, checked once on the driver; executors get them with the shuffle handle. Keys are
 * listed in docs/SPARK.md. Sizes and times are written the Spark way: {@code 64m}, {@code 5s}.
 */
public final class OverhandConf implements Serializable {
    private static final long serialVersionUID = 1L;

    static final String PREFIX = "spark.overhand.";
    static final String MASTERS = PREFIX + "masters";
    static final String FALLBACK = PREFIX + "fallback";
    static final String FALLBACK_TIMEOUT = PREFIX + "fallback.timeout";
    static final String CODEC = PREFIX + "compression.codec";
    static final String CODEC_LEVEL = PREFIX + "compression.level";
    static final String COMPRESS_THREADS = PREFIX + "compression.threads";
    static final String REPLICAS = PREFIX + "replicas";
    static final String WRITER_MEMORY = PREFIX + "writer.memory";
    static final String STREAM_BATCH = PREFIX + "writer.streamBatch";
    static final String READER_WINDOW = PREFIX + "reader.window";
    static final String SEND_MEMORY = PREFIX + "client.sendMemory";
    static final String RECEIVE_MEMORY = PREFIX + "client.receiveMemory";
    static final String CONNECT_TIMEOUT = PREFIX + "timeout.connect";
    static final String PROGRESS_TIMEOUT = PREFIX + "timeout.progress";
    static final String REQUEST_TIMEOUT = PREFIX + "timeout.request";

    private static final String[] KEYS = {MASTERS, FALLBACK, FALLBACK_TIMEOUT, CODEC, CODEC_LEVEL,
        COMPRESS_THREADS, REPLICAS, WRITER_MEMORY, STREAM_BATCH, READER_WINDOW, SEND_MEMORY, RECEIVE_MEMORY,
        CONNECT_TIMEOUT, PROGRESS_TIMEOUT, REQUEST_TIMEOUT};

    /** When Spark's own shuffle takes over. */
    public enum Fallback {
        /** When the service cannot be used: at start for all shuffles, later for a single one. */
        AUTO,
        /** Never: what cannot be served fails. */
        NEVER,
        /** Always: the service is not contacted. */
        ALWAYS
    }

    /** Values are those of {@code enum overhand_codec}. */
    private static final int CODEC_NONE = 1;
    private static final int CODEC_LZ4 = 2;
    private static final int CODEC_ZSTD = 3;

    private final String masters;
    private final Fallback fallback;
    private final int fallbackTimeoutMs;
    private final int codec;
    private final int codecLevel;
    private final int replicas;
    private final long writerMemory;
    private final int streamBatch;
    private final long readerWindow;
    private final long[] clientNumbers;

    /**
     * Reads and checks all keys.
     *
     * @throws IllegalArgumentException naming the key, the value and what would be right
     */
    public OverhandConf(SparkConf conf) {
        this(overhandKeys(conf), conf.getBoolean("spark.shuffle.compress", true),
                conf.get("spark.io.compression.codec", "lz4"));
    }

    OverhandConf(Map<String, String> settings, boolean compress, String sparkCodec) {
        for (String key : settings.keySet()) {
            requireKnown(key);
        }
        fallback = fallbackOf(settings.getOrDefault(FALLBACK, "auto"));
        masters = settings.getOrDefault(MASTERS, "").trim();
        if (masters.isEmpty() && fallback != Fallback.ALWAYS) {
            throw new IllegalArgumentException(MASTERS
                    + " is not set; give the masters of the Overhand cluster as host:port,host:port");
        }
        fallbackTimeoutMs = (int) millis(settings, FALLBACK_TIMEOUT, "5s");
        codec = compress ? codecOf(settings.get(CODEC), sparkCodec) : CODEC_NONE;
        codecLevel = (int) number(settings, CODEC_LEVEL, 1, 1, 22);
        replicas = (int) number(settings, REPLICAS, 1, 1, 2);
        writerMemory = bytes(settings, WRITER_MEMORY, "64m", NativeWriter.MIN_MEMORY, 1L << 40);
        streamBatch = (int) bytes(settings, STREAM_BATCH, "256k", 1L << 10, 64L << 20);
        readerWindow = bytes(settings, READER_WINDOW, "48m", 1L << 20, 1L << 40);
        clientNumbers = new long[] {
            number(settings, COMPRESS_THREADS, 0, 0, 1024),
            millis(settings, CONNECT_TIMEOUT, "3s"),
            millis(settings, PROGRESS_TIMEOUT, "10s"),
            millis(settings, REQUEST_TIMEOUT, "5s"),
            bytes(settings, SEND_MEMORY, "64m", 1L << 20, 1L << 40),
            bytes(settings, RECEIVE_MEMORY, "128m", 1L << 20, 1L << 40)};
    }

    private static Map<String, String> overhandKeys(SparkConf conf) {
        Map<String, String> settings = new TreeMap<>();
        for (Tuple2<String, String> entry : conf.getAll()) {
            if (entry._1().startsWith(PREFIX)) {
                settings.put(entry._1(), entry._2());
            }
        }
        return settings;
    }

    private static void requireKnown(String key) {
        String nearest = KEYS[0];
        for (String known : KEYS) {
            if (known.equals(key)) {
                return;
            }
            if (distance(key, known) < distance(key, nearest)) {
                nearest = known;
            }
        }
        throw new IllegalArgumentException(key + " is not a key of Overhand; the nearest is " + nearest);
    }

    /** Number of single-character edits that turn one key into the other. */
    static int distance(String a, String b) {
        int[] row = new int[b.length() + 1];
        for (int j = 0; j < row.length; j++) {
            row[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j < row.length; j++) {
                int change = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(change, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[b.length()];
    }

    private static Fallback fallbackOf(String value) {
        switch (value.trim().toLowerCase(Locale.ROOT)) {
            case "auto":
                return Fallback.AUTO;
            case "never":
                return Fallback.NEVER;
            case "always":
                return Fallback.ALWAYS;
            default:
                throw bad(FALLBACK, value, "auto, never or always");
        }
    }

    /** Our own key decides; without it Spark's codec does, where the library has it. */
    private static int codecOf(String value, String sparkCodec) {
        if (value == null) {
            String name = sparkCodec.toLowerCase(Locale.ROOT);
            return name.equals("zstd") || name.endsWith(".zstdcompressioncodec") ? CODEC_ZSTD : CODEC_LZ4;
        }
        switch (value.trim().toLowerCase(Locale.ROOT)) {
            case "none":
                return CODEC_NONE;
            case "lz4":
                return CODEC_LZ4;
            case "zstd":
                return CODEC_ZSTD;
            default:
                throw bad(CODEC, value, "lz4, zstd or none");
        }
    }

    private static long millis(Map<String, String> settings, String key, String fallback) {
        String value = settings.getOrDefault(key, fallback);
        long ms;
        try {
            ms = JavaUtils.timeStringAsMs(value);
        } catch (NumberFormatException e) {
            throw bad(key, value, "a time such as 5s or 200ms");
        }
        if (ms < 1 || ms > Integer.MAX_VALUE) {
            throw bad(key, value, "a time from 1ms to 24d");
        }
        return ms;
    }

    private static long bytes(Map<String, String> settings, String key, String fallback, long min, long max) {
        String value = settings.getOrDefault(key, fallback);
        long bytes;
        try {
            bytes = JavaUtils.byteStringAsBytes(value);
        } catch (NumberFormatException | ArithmeticException e) {
            throw bad(key, value, "a size such as 64m");
        }
        if (bytes < min || bytes > max) {
            throw bad(key, value, "a size from " + min + " to " + max + " bytes");
        }
        return bytes;
    }

    private static long number(Map<String, String> settings, String key, long fallback, long min, long max) {
        String value = settings.get(key);
        if (value == null) {
            return fallback;
        }
        long number;
        try {
            number = Long.parseLong(value.trim());
        } catch (NumberFormatException e) {
            throw bad(key, value, "a whole number from " + min + " to " + max);
        }
        if (number < min || number > max) {
            throw bad(key, value, "a whole number from " + min + " to " + max);
        }
        return number;
    }

    private static IllegalArgumentException bad(String key, String value, String right) {
        return new IllegalArgumentException(key + "=" + value + " is not " + right);
    }

    String masters() {
        return masters;
    }

    Fallback fallback() {
        return fallback;
    }

    int fallbackTimeoutMs() {
        return fallbackTimeoutMs;
    }

    int codec() {
        return codec;
    }

    int codecLevel() {
        return codecLevel;
    }

    /** Copies of each block, on different hosts. */
    int replicas() {
        return replicas;
    }

    long writerMemory() {
        return writerMemory;
    }

    int streamBatch() {
        return streamBatch;
    }

    long readerWindow() {
        return readerWindow;
    }

    /** In the order {@link Native#clientOpen} takes them, as far as the driver knows them. */
    long[] clientNumbers() {
        return clientNumbers;
    }
}
