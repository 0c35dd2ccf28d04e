package org.overhand.spark;

/** Throws what the Scala interfaces we implement do not declare, as Scala code does. */
final class Sneaky {
    private Sneaky() {
    }

    /** Never returns: {@code throw Sneaky.raise(e)}. */
    static RuntimeException raise(Throwable e) {
        return Sneaky.<RuntimeException>raiseAs(e);
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> RuntimeException raiseAs(Throwable e) throws T {
        throw (T) e;
    }
}
