/* One configuration value: from text to a typed field, with words for what is wrong. */
#ifndef CORE_CONF_VALUE_H
#define CORE_CONF_VALUE_H

#include "core/conf.h"

/* Room for a field of any type. */
union conf_field {
    char *string;
    struct conf_list list;
    struct conf_addresses addresses;
    uint64_t number;
    bool boolean;
    unsigned choice;
};

/* Check `text` against the key's type and range and store it in `field`.
 * Owns:    what the field points to becomes the field's: conf_value_fini.
 * Returns: 0, OVERHAND_E_CONFIG (`field` is unchanged; say conf_value_describe). */
MUST_CHECK int conf_value_parse(const struct conf_key *key, const char *text, void *field);
/* Free what a field points to. */
void conf_value_fini(const struct conf_key *key, void *field);
/* What the key allows, as "a percentage (1% to 95%)". Owns: the caller, mem_free. */
char *conf_value_describe(const struct conf_key *key);
/* The type in a word, as "size". Static memory. */
const char *conf_value_type(const struct conf_key *key);
/* The range in words, "" when the type alone says it. Owns: the caller, mem_free. */
char *conf_value_range(const struct conf_key *key);

#endif
