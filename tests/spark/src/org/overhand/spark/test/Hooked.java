package org.overhand.spark.test;

import java.util.Iterator;

/** Records that run something once on their way: before record number {@code at}, or after the last one. */
final class Hooked<T> implements Iterator<T> {
    /** A place behind all records. */
    static final long END = Long.MAX_VALUE;
    static final long NEVER = -1;

    private final Iterator<T> records;
    private final long at;
    private final Runnable hook;
    private long n;
    private boolean ran;

    Hooked(Iterator<T> records, long at, Runnable hook) {
        this.records = records;
        this.at = at;
        this.hook = hook;
    }

    @Override
    public boolean hasNext() {
        boolean more = records.hasNext();
        if (!ran && (more ? n == at : at == END)) {
            ran = true;
            hook.run();
        }
        return more;
    }

    @Override
    public T next() {
        n++;
        return records.next();
    }
}
