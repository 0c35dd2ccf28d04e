package org.overhand.spark;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;

/**
 * The functions of {@code overhand.h}, one to one: handles and native memory are {@code long} addresses,
 * results are 0 or a negative {@code OVERHAND_E_*} code. Nothing here takes a decision; {@link NativeClient},
 * {@link NativeWriter} and {@link NativeReader} turn codes into waits and exceptions.
 */
final class Native {
    /** Every expected block was delivered. */
    static final int END = 1;
    /** Time was up; call again. */
    static final int E_AGAIN = -1;
    /** Bytes do not match their checksum and no intact copy exists. */
    static final int E_CHECKSUM = -10;
    /** Expected blocks are nowhere. */
    static final int E_LOST = -22;

    /** No call blocks longer, so that a killed task is noticed. */
    static final int SLICE_MS = 100;

    private static Throwable loadFailure;
    private static boolean loaded;

    private Native() {
    }

    /**
     * Loads the library on first use.
     *
     * @throws IOException naming why this machine cannot load it
     */
    static synchronized void load() throws IOException {
        if (loaded) {
            return;
        }
        if (loadFailure == null) {
            try {
                loadOnce();
                loaded = true;
                return;
            } catch (IOException | LinkageError e) {
                loadFailure = e;
            }
        }
        throw new IOException("cannot load Overhand's native library: " + loadFailure.getMessage(),
                loadFailure);
    }

    /** Loads the file the system property names, else unpacks the one in the jar for this machine. */
    private static void loadOnce() throws IOException {
        String file = System.getProperty("overhand.native.path");
        if (file != null) {
            System.load(file);
            return;
        }
        String resource = resourceName(System.getProperty("os.name"), System.getProperty("os.arch"));
        try (InputStream in = Native.class.getResourceAsStream(resource)) {
            if (in == null) {
                throw new IOException("the jar has no " + resource);
            }
            Path copy = Files.createTempFile("liboverhand_jni", ".so");
            try {
                Files.copy(in, copy, StandardCopyOption.REPLACE_EXISTING);
                System.load(copy.toString());
            } finally {
                Files.delete(copy); // the mapping outlives the name
            }
        }
    }

    /** Where the jar keeps the library for an operating system and a processor, as Java names them. */
    static String resourceName(String os, String arch) {
        String processor = arch.toLowerCase(Locale.ROOT);
        if (processor.equals("amd64")) {
            processor = "x86_64";
        } else if (processor.equals("arm64")) {
            processor = "aarch64";
        }
        return "/org/overhand/native/" + os.toLowerCase(Locale.ROOT) + "-" + processor
                + "/liboverhand_jni.so";
    }

    static native String version();

    static native String errorName(int code);

    static native String errorText(int code);

    // ---- log

    /**
     * The library's oldest log line not yet taken; null if none came in time or {@link #logWake} was called.
     *
     * @param out the line's level; how many lines were dropped since this was last told
     */
    static native String logTake(long[] out, int timeoutMs);

    static native void logWake();

    // ---- client

    static native long appUidNew();

    /**
     * Opens a client. {@code numbers}: compression threads, connect, progress and request timeout (ms), send
     * and receive memory (bytes), of which 0 means the library's default; log level.
     *
     * @param key what blocks are encrypted with, of 16, 24 or 32 bytes; null: they are not
     * @param out out[0] receives the handle
     */
    static native int clientOpen(String masters, String appId, long appUid, long[] numbers, byte[] key,
            long[] out);

    static native void clientClose(long client);

    static native String clientError(long client);

    static native int appOpen(long client, int timeoutMs);

    static native void appClose(long client, int timeoutMs);

    /** Registers a shuffle; {@code out[0]} receives the layout. */
    static native int shuffleRegister(long client, int shuffleId, int nMaps, int nPartitions, int replicas,
            byte[][] out);

    /** Drops what attempts below {@code attemptsBelow} wrote; waits at most so long for the workers' answers. */
    static native int shuffleUnregister(long client, int shuffleId, long attemptsBelow, int timeoutMs);

    // ---- writer

    static native int writerOpen(long client, byte[] layout, int mapIndex, long attempt, long memoryBytes,
            int codec, int codecLevel, int numFields, long[] out);

    /** Address of the slots: {@code {u64 cursor, u64 end}} for each partition. */
    static native long writerSlots(long writer);

    /** An error code if negative, else the bytes of memory that the writer now holds. */
    static native long writerExtend(long writer, int partition, long need, int timeoutMs);

    static native int writerBatch(long writer, int partition, long address, long len, int timeoutMs);

    static native int writerFlush(long writer, int timeoutMs);

    static native long writerMemory(long writer);

    static native void writerSetMemory(long writer, long memoryBytes);

    static native int writerFinish(long writer, int timeoutMs);

    /** After finish: stored bytes of each partition. */
    static native void writerPartitionBytes(long writer, long[] out);

    static native String writerExceptions(long writer);

    /** raw bytes, stored bytes, blocks, wait ns, resent, peak memory. */
    static native void writerStats(long writer, long[] out);

    static native String writerError(long writer);

    static native void writerClose(long writer);

    // ---- reader

    static native int readerOpen(long client, byte[] layout, long[] attempts, int[] mapIndexes,
            int[] partitions, String[] exceptions, long windowBytes, long[] out);

    /** address, length, partition, map index, attempt, stored bytes. */
    static native int readerNext(long reader, long[] batch, int timeoutMs);

    /** attempt, map index, partition. */
    static native void readerLost(long reader, long[] out);

    /** stored bytes, blocks, dropped, wait ns, reopened. */
    static native void readerStats(long reader, long[] out);

    static native String readerError(long reader);

    static native void readerClose(long reader);
}
