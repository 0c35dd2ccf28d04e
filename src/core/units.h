/* Numbers with units, as people write them in configuration files and read them in tables. */
#ifndef CORE_UNITS_H
#define CORE_UNITS_H

#include "core/err.h"

enum { UNITS_TEXT_BYTES = 32 };

/* Read "64MiB": digits and B, KiB, MiB, GiB or TiB; without a unit bytes.
 * Returns: 0, OVERHAND_E_INVALID (also when it does not fit 64 bits). */
MUST_CHECK int units_parse_size(const char *text, uint64_t *bytes);
/* Read "5s": digits and ms, s, m, h or d; only 0 may go without a unit.
 * Returns: 0, OVERHAND_E_INVALID. */
MUST_CHECK int units_parse_duration(const char *text, uint64_t *ms);
/* Read "1500": digits alone. Returns: 0, OVERHAND_E_INVALID. */
MUST_CHECK int units_parse_count(const char *text, uint64_t *count);
/* Read "50%", the sign may be missing. Returns: 0, OVERHAND_E_INVALID (above 100, too). */
MUST_CHECK int units_parse_percent(const char *text, uint64_t *percent);

/* Exactly, in the largest unit that divides it: "64MiB", "1000B". Returns `text`. */
const char *units_format_size(uint64_t bytes, char text[UNITS_TEXT_BYTES]);
/* Exactly, in the largest unit that divides it: "90s", "1500ms", "2m". Returns `text`. */
const char *units_format_duration(uint64_t ms, char text[UNITS_TEXT_BYTES]);
/* About, for people: "0 B", "999 B", "1.5 GiB". Returns `text`. */
const char *units_format_size_about(uint64_t bytes, char text[UNITS_TEXT_BYTES]);
/* About, for people: "250 ms", "1.5 s", "3 m", "2 h". Returns `text`. */
const char *units_format_duration_about(uint64_t ms, char text[UNITS_TEXT_BYTES]);

#endif
