/* The report of a run. Events are kept as text and printed only when the verdict is "wrong", or
 * with verbose at once. */
#include "sim_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"
#include "world.h"

enum { LINE_BYTES = 1024 };

static unsigned long long report_ms(const struct sim_report *report)
{
    return report->loop->now_ns / 1000000;
}

static void report_on_log(void *arg, enum overhand_log_level level, const char *line)
{
    const struct sim_report *report = arg;

    if (report->options->verbose)
        printf("%6llu.%03llu      %s\n", report_ms(report) / 1000, report_ms(report) % 1000, line);
}

void sim_report_init(struct sim_report *report, const struct sim_loop *loop,
                     const struct world_options *options)
{
    *report = (struct sim_report){.loop = loop, .options = options};
    log_set_sink(report_on_log, report);
    log_set_level(options->verbose ? OVERHAND_LOG_INFO : OVERHAND_LOG_ERROR);
}

void sim_report_fini(struct sim_report *report)
{
    log_set_sink(NULL, NULL);
    mem_free(report->schedule);
}

void sim_report_mix(struct sim_report *report, uint64_t value)
{
    report->hash = rng_mix(report->hash, value);
}

void sim_report_note(struct sim_report *report, const char *format, ...)
{
    char line[LINE_BYTES];
    unsigned long long ms = report_ms(report);
    int len = snprintf(line, sizeof line, "%6llu.%03llu  ", ms / 1000, ms % 1000);
    va_list args;

    va_start(args, format);
    vsnprintf(line + len, sizeof line - (size_t)len - 1, format, args);
    va_end(args);
    size_t n = strlen(line);
    line[n++] = '\n';
    if (report->len + n > report->capacity) {
        report->capacity = 2 * (report->len + n);
        report->schedule = mem_realloc(report->schedule, report->capacity);
    }
    memcpy(report->schedule + report->len, line, n);
    report->len += n;
    for (size_t i = 0; i < n; i++)
        report->hash = (report->hash ^ (uint8_t)line[i]) * 0x100000001b3;
    if (report->options->verbose)
        fwrite(line, 1, n, stdout);
}

void sim_report_replay(const struct world_options *options)
{
    static const char *const drains[] = {[SIM_DRAINS_DRAWN] = "",
                                         [SIM_DRAINS_NONE] = "--drains none ",
                                         [SIM_DRAINS_OFTEN] = "--drains often "};

    printf("replay: ./dev sim %s--seed %llu --verbose\n", drains[options->drains],
           (unsigned long long)options->seed);
}

_Noreturn void sim_report_fail(struct sim_report *report, const char *format, ...)
{
    va_list args;

    printf("---- seed %llu failed ----\n", (unsigned long long)report->options->seed);
    if (!report->options->verbose)
        fwrite(report->schedule, 1, report->len, stdout);
    printf("%6llu.%03llu  WRONG: ", report_ms(report) / 1000, report_ms(report) % 1000);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    sim_report_replay(report->options);
    fflush(stdout);
    _exit(SIM_EXIT_FAILED);
}
