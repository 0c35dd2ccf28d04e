package org.overhand.spark;

import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Set;

/** What a reader must find: for each (map, partition) with data, the attempt Spark has registered. */
final class ExpectedBlocks {
    private long[] attempts = new long[64];
    private int[] mapIndexes = new int[64];
    private int[] partitions = new int[64];
    private final Set<String> exceptions = new LinkedHashSet<>();
    private int size;

    void add(long attempt, int mapIndex, int partition) {
        if (size == attempts.length) {
            int capacity = Math.multiplyExact(size, 2);
            attempts = Arrays.copyOf(attempts, capacity);
            mapIndexes = Arrays.copyOf(mapIndexes, capacity);
            partitions = Arrays.copyOf(partitions, capacity);
        }
        attempts[size] = attempt;
        mapIndexes[size] = mapIndex;
        partitions[size] = partition;
        size++;
    }

    /** Adds what a map status says about places other than the home of its partitions. */
    void addExceptions(String text) {
        exceptions.add(text);
    }

    boolean isEmpty() {
        return size == 0;
    }

    long[] attempts() {
        return Arrays.copyOf(attempts, size);
    }

    int[] mapIndexes() {
        return Arrays.copyOf(mapIndexes, size);
    }

    int[] partitions() {
        return Arrays.copyOf(partitions, size);
    }

    String[] exceptions() {
        return exceptions.toArray(new String[0]);
    }
}
