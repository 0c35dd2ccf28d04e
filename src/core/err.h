/* Error codes: the public enum of overhand.h, used everywhere inside too. */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <overhand/overhand.h>

#define MUST_CHECK __attribute__((warn_unused_result))

/* True for codes after which the same request may succeed elsewhere or later (CONNECT, BUSY,
 * NOT_READY ...). */
bool err_is_retriable(int code);

/* The code for a positive errno value: ENOSPC -> OVERHAND_E_NO_SPACE, ECONNREFUSED ->
 * OVERHAND_E_CONNECT ...; OVERHAND_E_IO for those without a code of their own. */
int err_from_errno(int errnum);

/* The code that a peer gave for a failure, as we may pass it on: what is no failure, or speaks of our
 * own caller's time (AGAIN), becomes OVERHAND_E_PROTOCOL. */
int err_from_peer(int code);

/* How many codes there are, success included: 0 .. -(ERR_CODES - 1). */
enum { ERR_CODES = 32 };

/* Where a code's count stands in an array of ERR_CODES counts. */
unsigned err_index(int code);

/* A promise of our own code, checked in release builds as well; never for input from a peer. */
#define ASSERT(condition)                                                                          \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            err_assert_failed(#condition, __FILE__, __LINE__);                                     \
    } while (0)

/* Print what was broken and where, then abort. */
_Noreturn void err_assert_failed(const char *condition, const char *file, int line);

#endif
