package org.overhand.spark;

import java.io.IOException;

/** What the native library answered, as text that names the error and says what happened where. */
public final class OverhandException extends IOException {
    private final int code;

    OverhandException(int code, String what, String detail) {
        super(what + ": " + Native.errorName(code) + ": "
                + (detail.isEmpty() ? Native.errorText(code) : detail));
        this.code = code;
    }

    /** The {@code OVERHAND_E_*} value. */
    public int code() {
        return code;
    }
}
