/* Numbers with units. Nothing is guessed: no blanks, signs or fractions, units spelled as shown. */
#include "core/units.h"

#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first. */
static const struct unit units_of_size[] = {
    {"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}};
static const struct unit units_of_duration[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
enum { N_UNITS = 5 };

/* Read digits; *rest is what follows. Returns: 0, OVERHAND_E_INVALID (no digit, or too many). */
static int units_parse_digits(const char *text, uint64_t *value, const char **rest)
{
    const char *at = text;

    *value = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*at - '0'), value))
            return OVERHAND_E_INVALID;
    *rest = at;
    return at == text ? OVERHAND_E_INVALID : 0;
}

static int units_parse(const char *text, const struct unit *units, uint64_t *value)
{
    const char *name;
    int rc = units_parse_digits(text, value, &name);

    if (rc != 0)
        return rc;
    for (int i = 0; i < N_UNITS; i++)
        if (strcmp(name, units[i].name) == 0)
            return __builtin_mul_overflow(*value, units[i].factor, value) ? OVERHAND_E_INVALID : 0;
    return OVERHAND_E_INVALID;
}

int units_parse_size(const char *text, uint64_t *bytes)
{
    return units_parse_count(text, bytes) == 0 ? 0 : units_parse(text, units_of_size, bytes);
}

int units_parse_duration(const char *text, uint64_t *ms)
{
    if (units_parse_count(text, ms) == 0)
        return *ms == 0 ? 0 : OVERHAND_E_INVALID; /* 5 of what? */
    return units_parse(text, units_of_duration, ms);
}

int units_parse_count(const char *text, uint64_t *count)
{
    const char *rest;
    int rc = units_parse_digits(text, count, &rest);

    if (rc != 0)
        return rc;
    return *rest == '\0' ? 0 : OVERHAND_E_INVALID;
}

int units_parse_percent(const char *text, uint64_t *percent)
{
    const char *rest;
    int rc = units_parse_digits(text, percent, &rest);

    if (rc != 0)
        return rc;
    if (strcmp(rest, "") != 0 && strcmp(rest, "%") != 0)
        return OVERHAND_E_INVALID;
    return *percent <= 100 ? 0 : OVERHAND_E_INVALID;
}

static const char *units_format(uint64_t value, const struct unit *units,
                                char text[UNITS_TEXT_BYTES])
{
    const struct unit *unit = units;

    while (value % unit->factor != 0 || (value == 0 && unit->factor != 1))
        unit++;
    snprintf(text, UNITS_TEXT_BYTES, "%llu%s", (unsigned long long)(value / unit->factor),
             unit->name);
    return text;
}

const char *units_format_size(uint64_t bytes, char text[UNITS_TEXT_BYTES])
{
    return units_format(bytes, units_of_size, text);
}

const char *units_format_duration(uint64_t ms, char text[UNITS_TEXT_BYTES])
{
    return units_format(ms, units_of_duration, text);
}

/* One digit behind the point below ten of a unit, none above. */
static const char *units_format_about(uint64_t value, const struct unit *units,
                                      char text[UNITS_TEXT_BYTES])
{
    const struct unit *unit = units;

    while (value < unit->factor && unit->factor != 1)
        unit++;
    double amount = (double)value / (double)unit->factor;
    int n_decimals = amount < 9.95 && value % unit->factor != 0 ? 1 : 0;
    snprintf(text, UNITS_TEXT_BYTES, "%.*f %s", n_decimals, amount, unit->name);
    return text;
}

const char *units_format_size_about(uint64_t bytes, char text[UNITS_TEXT_BYTES])
{
    return units_format_about(bytes, units_of_size, text);
}

const char *units_format_duration_about(uint64_t ms, char text[UNITS_TEXT_BYTES])
{
    return units_format_about(ms, units_of_duration, text);
}
