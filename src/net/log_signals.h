/* The level of the log at run time: SIGUSR1 makes it debug, SIGUSR2 what was configured. Signals need
 * no port and no credentials, and who may send them may do worse anyway. */
#ifndef NET_LOG_SIGNALS_H
#define NET_LOG_SIGNALS_H

#include <uv.h>

#include "core/log.h"
#include "net/loop.h"

struct log_signals {
    uv_signal_t debug, configured;
    enum overhand_log_level level;
};

/* Watch both on a loop of libuv; `level` is the configured one.
 * Owns: the caller, log_signals_stop. Returns: 0 or what the system said. */
MUST_CHECK int log_signals_start(struct log_signals *signals, struct loop *loop,
                                 enum overhand_log_level level);
/* Watch no more; the loop runs, or is freed, once more before the memory may go. */
void log_signals_stop(struct log_signals *signals);

#endif
