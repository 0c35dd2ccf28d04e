/* Names, texts and retriability of every error code, from one table.
 *
 * The table is indexed by -code, so a code is found without a search; a number outside of it is
 * answered with "OVERHAND_E_UNKNOWN" and is never retriable. */
#include "core/err.h"

#include <errno.h>
#include <stddef.h>

struct err_entry {
    const char *name;
    const char *text;
    bool retriable; /* the same request may succeed elsewhere or later */
};

#define ERR_ROW(code, retriable, text) [-(code)] = {#code, text, retriable}

static const struct err_entry err_table[] = {
    ERR_ROW(OVERHAND_OK, false, "success"),
    ERR_ROW(OVERHAND_E_AGAIN, true, "time was up before anything could be done; call again"),
    ERR_ROW(OVERHAND_E_INVALID, false, "an argument is outside its documented range"),
    ERR_ROW(OVERHAND_E_CLOSED, false, "the handle or connection is closing"),
    ERR_ROW(OVERHAND_E_CONNECT, true, "cannot connect: refused, unreachable or unknown host"),
    ERR_ROW(OVERHAND_E_DISCONNECTED, true, "the connection broke while something was under way"),
    ERR_ROW(OVERHAND_E_TIMEOUT, true, "the peer made no progress within its deadline"),
    ERR_ROW(OVERHAND_E_PROTOCOL, false, "the peer sent what the protocol does not allow"),
    ERR_ROW(OVERHAND_E_VERSION, false, "no protocol version in common"),
    ERR_ROW(OVERHAND_E_TOO_BIG, false, "a length is above its limit"),
    ERR_ROW(OVERHAND_E_CHECKSUM, false, "bytes do not match their checksum"),
    ERR_ROW(OVERHAND_E_NO_MASTER, true, "no master of the list answered"),
    ERR_ROW(OVERHAND_E_NOT_READY, true, "this master has not heard the workers yet"),
    ERR_ROW(OVERHAND_E_NO_WORKERS, true, "no worker can take data now"),
    ERR_ROW(OVERHAND_E_UNKNOWN_APP, false, "the application is unknown here or its lease expired"),
    ERR_ROW(OVERHAND_E_UNKNOWN_SHUFFLE, false, "nothing is known of this shuffle or partition"),
    ERR_ROW(OVERHAND_E_EXPIRED, false, "the data was here and has been deleted"),
    ERR_ROW(OVERHAND_E_INCARNATION, false, "the worker was restarted and may have lost data"),
    ERR_ROW(OVERHAND_E_BUSY, true, "out of memory for now; wait for credit"),
    ERR_ROW(OVERHAND_E_NO_SPACE, true, "disks are full; use a stand-in"),
    ERR_ROW(OVERHAND_E_DRAINING, true, "the worker takes no new data; use a stand-in"),
    ERR_ROW(OVERHAND_E_IO, true, "a disk failed"),
    ERR_ROW(OVERHAND_E_LOST, false, "expected blocks are nowhere; recompute them"),
    ERR_ROW(OVERHAND_E_NO_MEMORY, true, "a bounded pool refused"),
    ERR_ROW(OVERHAND_E_DENIED, false, "this role may not do that"),
    ERR_ROW(OVERHAND_E_UNSUPPORTED, false, "unknown message type or feature"),
    ERR_ROW(OVERHAND_E_CONFIG, false, "bad configuration"),
    ERR_ROW(OVERHAND_E_INTERNAL, false, "a defect in Overhand itself"),
    ERR_ROW(OVERHAND_E_EXISTS, false, "it is there already"),
    ERR_ROW(OVERHAND_E_NOT_FOUND, false, "a file or named thing is not there"),
    ERR_ROW(OVERHAND_E_REPLICA, true, "the worker for the other copy refused or is gone"),
    ERR_ROW(OVERHAND_E_FULL, true, "the partition is as large as it may be here; use a stand-in"),
};

_Static_assert(sizeof err_table / sizeof err_table[0] == ERR_CODES, "as err.h says");

static const struct err_entry err_end = {"OVERHAND_END", "every expected block was delivered",
                                         false};
static const struct err_entry err_unknown = {"OVERHAND_E_UNKNOWN", "unknown error code", false};

static const struct err_entry *err_find(int code)
{
    if (code == OVERHAND_END)
        return &err_end;
    if (code > 0 || code <= -ERR_CODES)
        return &err_unknown;
    return &err_table[-code];
}

unsigned err_index(int code)
{
    return code > 0 || code <= -ERR_CODES ? -OVERHAND_E_INTERNAL : (unsigned)-code;
}

const char *overhand_error_name(int code)
{
    return err_find(code)->name;
}

const char *overhand_strerror(int code)
{
    return err_find(code)->text;
}

bool err_is_retriable(int code)
{
    return err_find(code)->retriable;
}

static const struct {
    int errnum, code;
} err_errno_table[] = {
    {EAGAIN, OVERHAND_E_AGAIN},
    {EINTR, OVERHAND_E_AGAIN},
    {EINVAL, OVERHAND_E_INVALID},
    {EBADF, OVERHAND_E_INVALID},
    {ENAMETOOLONG, OVERHAND_E_INVALID},
    {ENOTDIR, OVERHAND_E_INVALID},
    {EISDIR, OVERHAND_E_INVALID},
    {ENOTSOCK, OVERHAND_E_INVALID},
    {ECANCELED, OVERHAND_E_CLOSED},
    {ECONNREFUSED, OVERHAND_E_CONNECT},
    {EHOSTUNREACH, OVERHAND_E_CONNECT},
    {ENETUNREACH, OVERHAND_E_CONNECT},
    {EHOSTDOWN, OVERHAND_E_CONNECT},
    {ENETDOWN, OVERHAND_E_CONNECT},
    {EADDRNOTAVAIL, OVERHAND_E_CONNECT},
    {EAFNOSUPPORT, OVERHAND_E_CONNECT},
    {ECONNRESET, OVERHAND_E_DISCONNECTED},
    {ECONNABORTED, OVERHAND_E_DISCONNECTED},
    {EPIPE, OVERHAND_E_DISCONNECTED},
    {ENOTCONN, OVERHAND_E_DISCONNECTED},
    {ETIMEDOUT, OVERHAND_E_TIMEOUT},
    {EFBIG, OVERHAND_E_TOO_BIG},
    {EOVERFLOW, OVERHAND_E_TOO_BIG},
    {EMSGSIZE, OVERHAND_E_TOO_BIG},
    {ENOSPC, OVERHAND_E_NO_SPACE},
    {EDQUOT, OVERHAND_E_NO_SPACE},
    {ENOMEM, OVERHAND_E_NO_MEMORY},
    {ENOBUFS, OVERHAND_E_NO_MEMORY},
    {EMFILE, OVERHAND_E_NO_MEMORY},
    {ENFILE, OVERHAND_E_NO_MEMORY},
    {EACCES, OVERHAND_E_DENIED},
    {EPERM, OVERHAND_E_DENIED},
    {EROFS, OVERHAND_E_DENIED},
    {ENOSYS, OVERHAND_E_UNSUPPORTED},
    {EOPNOTSUPP, OVERHAND_E_UNSUPPORTED},
    {EPROTONOSUPPORT, OVERHAND_E_UNSUPPORTED},
    {EEXIST, OVERHAND_E_EXISTS},
    {EADDRINUSE, OVERHAND_E_EXISTS},
    {ENOENT, OVERHAND_E_NOT_FOUND},
    {ESRCH, OVERHAND_E_NOT_FOUND},
    {ENXIO, OVERHAND_E_NOT_FOUND},
};

int err_from_peer(int code)
{
    return code >= 0 || code == OVERHAND_E_AGAIN ? OVERHAND_E_PROTOCOL : code;
}

int err_from_errno(int errnum)
{
    if (errnum == 0)
        return OVERHAND_OK;
    for (size_t i = 0; i < sizeof err_errno_table / sizeof err_errno_table[0]; i++)
        if (err_errno_table[i].errnum == errnum)
            return err_errno_table[i].code;
    return OVERHAND_E_IO; /* EIO and whatever else a device may invent */
}

_Noreturn void err_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "overhand: broken promise at %s:%d: %s\n", file, line, condition);
    abort();
}
