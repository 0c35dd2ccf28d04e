/* Prometheus' text format. A value of a label may come from a peer (an application's name): what
 * would end it or is no printable ASCII is escaped, so that no two values become the same. */
#include "http/metrics.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "core/mem.h"

void metrics_open(struct metrics *metrics)
{
    *metrics = (struct metrics){0};
    metrics->out = open_memstream(&metrics->text, &metrics->len);
    ASSERT(metrics->out != NULL);
}

void metrics_close(struct metrics *metrics, char **text, size_t *len)
{
    int rc = fclose(metrics->out);

    ASSERT(rc == 0); /* memory alone can be short, as in core/mem.h */
    *text = metrics->text;
    *len = metrics->len;
}

void metrics_family(struct metrics *metrics, const char *name, const char *type, const char *help)
{
    metrics->name = name;
    fprintf(metrics->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void metrics_label(struct metrics *metrics, const char *name, const char *value)
{
    fprintf(metrics->out, "%s=\"", name);
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(metrics->out, "\\%c", *c);
        else if (*c >= ' ' && *c <= '~' && *c != '%')
            fputc(*c, metrics->out);
        else
            fprintf(metrics->out, "%%%02X", (unsigned char)*c);
    }
    fputc('"', metrics->out);
}

/* The family's name and the labels. */
static void metrics_series(struct metrics *metrics, va_list labels)
{
    const char *name = va_arg(labels, const char *);

    fputs(metrics->name, metrics->out);
    if (name == NULL)
        return;
    for (char before = '{'; name != NULL; before = ',', name = va_arg(labels, const char *)) {
        fputc(before, metrics->out);
        metrics_label(metrics, name, va_arg(labels, const char *));
    }
    fputc('}', metrics->out);
}

static void metrics_seconds(struct metrics *metrics, uint64_t ns)
{
    fprintf(metrics->out, " %" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000, ns % 1000000000);
}

void metrics_add(struct metrics *metrics, uint64_t value, ...)
{
    va_list labels;

    va_start(labels, value);
    metrics_series(metrics, labels);
    va_end(labels);
    fprintf(metrics->out, " %" PRIu64 "\n", value);
}

void metrics_add_seconds(struct metrics *metrics, uint64_t ns, ...)
{
    va_list labels;

    va_start(labels, ns);
    metrics_series(metrics, labels);
    va_end(labels);
    metrics_seconds(metrics, ns);
}

/* One line of a histogram up to its value. */
static void metrics_histogram_series(struct metrics *metrics, const char *suffix, const char *label,
                                     const char *value, const char *bound)
{
    fprintf(metrics->out, "%s_%s", metrics->name, suffix);
    if (label == NULL && bound == NULL)
        return;
    fputc('{', metrics->out);
    if (label != NULL)
        metrics_label(metrics, label, value);
    if (label != NULL && bound != NULL)
        fputc(',', metrics->out);
    if (bound != NULL)
        metrics_label(metrics, "le", bound);
    fputc('}', metrics->out);
}

void metrics_add_histogram(struct metrics *metrics, const struct histogram *histogram,
                           const char *label, const char *value)
{
    uint64_t n = 0;
    char bound[32];

    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        n += histogram->counts[i];
        if (i < HISTOGRAM_BOUNDS)
            snprintf(bound, sizeof bound, "%g", (double)histogram_bounds_us[i] / 1e6);
        else
            snprintf(bound, sizeof bound, "+Inf");
        metrics_histogram_series(metrics, "bucket", label, value, bound);
        fprintf(metrics->out, " %" PRIu64 "\n", n);
    }
    metrics_histogram_series(metrics, "sum", label, value, NULL);
    metrics_seconds(metrics, histogram->sum_ns);
    metrics_histogram_series(metrics, "count", label, value, NULL);
    fprintf(metrics->out, " %" PRIu64 "\n", n);
}

void metrics_gauge(struct metrics *metrics, const char *name, uint64_t value, const char *help)
{
    metrics_family(metrics, name, "gauge", help);
    metrics_add(metrics, value, NULL);
}

void metrics_counter(struct metrics *metrics, const char *name, uint64_t value, const char *help)
{
    metrics_family(metrics, name, "counter", help);
    metrics_add(metrics, value, NULL);
}

const char *metrics_reason(int code, char text[METRICS_REASON_BYTES])
{
    static const char prefix[] = "OVERHAND_E_";
    const char *name = overhand_error_name(code);

    if (strncmp(name, prefix, sizeof prefix - 1) == 0)
        name += sizeof prefix - 1;
    snprintf(text, METRICS_REASON_BYTES, "%s", name);
    for (char *c = text; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return text;
}

void metrics_add_reasons(struct metrics *metrics, const uint64_t *counts, uint32_t always)
{
    char reason[METRICS_REASON_BYTES];

    for (int i = 1; i < ERR_CODES; i++)
        if (counts[i] > 0 || (always & METRICS_REASON(-i)) != 0)
            metrics_add(metrics, counts[i], "reason", metrics_reason(-i, reason), NULL);
}
