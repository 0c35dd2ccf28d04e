/* Two handles. The change is logged where its line is not lost: behind more, before less. */
#include "net/log_signals.h"

#include <signal.h>

#include "net/loop_uv.h"

static void log_signals_on_debug(uv_signal_t *handle, int number)
{
    log_set_level(OVERHAND_LOG_DEBUG);
    log_info("log", "SIGUSR1: level is debug until SIGUSR2");
}

static void log_signals_on_configured(uv_signal_t *handle, int number)
{
    const struct log_signals *signals = handle->data;

    log_info("log", "SIGUSR2: level is as configured");
    log_set_level(signals->level);
}

int log_signals_start(struct log_signals *signals, struct loop *loop, enum overhand_log_level level)
{
    uv_signal_t *handles[] = {&signals->debug, &signals->configured};
    uv_signal_cb callbacks[] = {log_signals_on_debug, log_signals_on_configured};
    int numbers[] = {SIGUSR1, SIGUSR2};

    signals->level = level;
    for (int i = 0; i < 2; i++) {
        int rc = uv_signal_init(loop_uv_handle(loop), handles[i]);

        if (rc == 0) {
            handles[i]->data = signals;
            rc = uv_signal_start(handles[i], callbacks[i], numbers[i]);
        }
        if (rc != 0)
            return err_from_errno(-rc);
    }
    return 0;
}

void log_signals_stop(struct log_signals *signals)
{
    uv_close((uv_handle_t *)&signals->debug, NULL);
    uv_close((uv_handle_t *)&signals->configured, NULL);
}
