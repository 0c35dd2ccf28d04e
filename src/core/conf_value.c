/* Values of configuration keys: parsing, freeing and describing, one case per type.
 *
 * Lists come in as one text with commas. A parse either fills the field or leaves it alone. */
#include "core/conf_value.h"

#include <string.h>

#include "core/mem.h"
#include "core/units.h"

/* What is known of each type, in the order of enum conf_type. */
static const struct {
    const char *name;  /* in the reference */
    const char *what;  /* in a message, in front of the range */
    const char *units; /* in a message, behind the range */
} conf_types[] = {
    [CONF_STRING] = {"string", "a text", ""},
    [CONF_NAME] = {"name", "a name of letters a-z, digits, '.' and '-'", ""},
    [CONF_STRINGS] = {"list", "a list", ""},
    [CONF_ADDRESSES] = {"addresses", "a list of addresses", ", as host:9700 or [::1]:9700"},
    [CONF_INTEGER] = {"integer", "a whole number", ""},
    [CONF_SIZE] = {"size", "a size", " in B, KiB, MiB, GiB or TiB"},
    [CONF_DURATION] = {"duration", "a duration", " in ms, s, m, h or d"},
    [CONF_PERCENT] = {"percent", "a percentage", ""},
    [CONF_BOOLEAN] = {"boolean", "true or false", ""},
    [CONF_CHOICE] = {"choice", "one of", ""},
};

static bool conf_in_range(const struct conf_key *key, uint64_t value)
{
    return value >= key->min && (key->max == 0 || value <= key->max);
}

static int conf_parse_number(const struct conf_key *key, const char *text, uint64_t *number)
{
    uint64_t value;
    int rc;

    switch (key->type) {
    case CONF_SIZE:
        rc = units_parse_size(text, &value);
        break;
    case CONF_DURATION:
        rc = units_parse_duration(text, &value);
        break;
    case CONF_PERCENT:
        rc = units_parse_percent(text, &value);
        break;
    default:
        rc = units_parse_count(text, &value);
        break;
    }
    if (rc != 0 || !conf_in_range(key, value))
        return OVERHAND_E_CONFIG;
    *number = value;
    return 0;
}

static int conf_parse_string(const struct conf_key *key, const char *text, char **string)
{
    static const char name_bytes[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";

    if (!conf_in_range(key, strlen(text)))
        return OVERHAND_E_CONFIG;
    if (key->type == CONF_NAME && text[strspn(text, name_bytes)] != '\0')
        return OVERHAND_E_CONFIG;
    *string = mem_strdup(text);
    return 0;
}

/* The next item of a list, blanks around it dropped. Owns: the caller, mem_free. */
static char *conf_take_item(const char **text)
{
    size_t len = strcspn(*text, ",");
    const char *item = *text;

    *text += len + ((*text)[len] == ',' ? 1 : 0);
    for (; len > 0 && *item == ' '; len--)
        item++;
    while (len > 0 && item[len - 1] == ' ')
        len--;
    return mem_printf("%.*s", (int)len, item);
}

static int conf_parse_list(const struct conf_key *key, const char *text, struct conf_list *list)
{
    struct conf_list parsed = {NULL, 0};
    bool valid = true;

    while (*text != '\0') {
        char *item = conf_take_item(&text);
        valid = valid && item[0] != '\0';
        parsed.items = mem_reallocarray(parsed.items, parsed.n_items + 1, sizeof *parsed.items);
        parsed.items[parsed.n_items++] = item;
    }
    if (!valid || !conf_in_range(key, parsed.n_items)) {
        conf_value_fini(key, &parsed);
        return OVERHAND_E_CONFIG;
    }
    *list = parsed;
    return 0;
}

static int conf_parse_addresses(const struct conf_key *key, const char *text,
                                struct conf_addresses *addresses)
{
    struct conf_addresses parsed = {NULL, 0};

    if (text[0] != '\0' &&
        address_parse_list(text, key->default_port, &parsed.items, &parsed.n_items) != 0)
        return OVERHAND_E_CONFIG;
    if (!conf_in_range(key, parsed.n_items)) {
        mem_free(parsed.items);
        return OVERHAND_E_CONFIG;
    }
    *addresses = parsed;
    return 0;
}

static int conf_parse_boolean(const char *text, bool *boolean)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return OVERHAND_E_CONFIG;
    *boolean = strcmp(text, "true") == 0;
    return 0;
}

static int conf_parse_choice(const struct conf_key *key, const char *text, unsigned *choice)
{
    const char *at = key->choices;

    for (unsigned n = 0;; n++) {
        size_t len = strcspn(at, "|");
        if (strlen(text) == len && memcmp(text, at, len) == 0) {
            *choice = n;
            return 0;
        }
        if (at[len] == '\0')
            return OVERHAND_E_CONFIG;
        at += len + 1;
    }
}

int conf_value_parse(const struct conf_key *key, const char *text, void *field)
{
    switch (key->type) {
    case CONF_STRING:
    case CONF_NAME:
        return conf_parse_string(key, text, field);
    case CONF_STRINGS:
        return conf_parse_list(key, text, field);
    case CONF_ADDRESSES:
        return conf_parse_addresses(key, text, field);
    case CONF_BOOLEAN:
        return conf_parse_boolean(text, field);
    case CONF_CHOICE:
        return conf_parse_choice(key, text, field);
    default:
        return conf_parse_number(key, text, field);
    }
}

void conf_value_fini(const struct conf_key *key, void *field)
{
    struct conf_list *list = field;

    switch (key->type) {
    case CONF_STRING:
    case CONF_NAME:
        mem_free(*(char **)field);
        break;
    case CONF_STRINGS:
        for (unsigned i = 0; i < list->n_items; i++)
            mem_free(list->items[i]);
        mem_free(list->items);
        break;
    case CONF_ADDRESSES:
        mem_free(((struct conf_addresses *)field)->items);
        break;
    default:
        break; /* points to nothing */
    }
}

const char *conf_value_type(const struct conf_key *key)
{
    return conf_types[key->type].name;
}

static const char *conf_format_number(const struct conf_key *key, uint64_t value,
                                      char text[UNITS_TEXT_BYTES])
{
    if (key->type == CONF_SIZE)
        return units_format_size(value, text);
    if (key->type == CONF_DURATION)
        return units_format_duration(value, text);
    snprintf(text, UNITS_TEXT_BYTES, "%llu%s", (unsigned long long)value,
             key->type == CONF_PERCENT ? "%" : "");
    return text;
}

char *conf_value_range(const struct conf_key *key)
{
    char least[UNITS_TEXT_BYTES], most[UNITS_TEXT_BYTES];

    switch (key->type) {
    case CONF_STRING:
    case CONF_NAME:
        if (key->max == 0)
            return mem_strdup(key->min > 0 ? "not empty" : "");
        return mem_printf("%llu to %llu characters", (unsigned long long)key->min,
                          (unsigned long long)key->max);
    case CONF_STRINGS:
    case CONF_ADDRESSES:
        return mem_strdup(key->min > 0 ? "at least one" : "");
    case CONF_BOOLEAN:
        return mem_strdup("true, false");
    case CONF_CHOICE:
        return mem_strdup(key->choices);
    default:
        conf_format_number(key, key->min, least);
        if (key->max == 0)
            return mem_printf("from %s", least);
        return mem_printf("%s to %s", least, conf_format_number(key, key->max, most));
    }
}

char *conf_value_describe(const struct conf_key *key)
{
    char *range = conf_value_range(key);
    bool named = key->type != CONF_BOOLEAN && range[0] != '\0';
    char *text = mem_printf("%s%s%s%s%s", conf_types[key->type].what, named ? " (" : "",
                            named ? range : "", named ? ")" : "", conf_types[key->type].units);

    mem_free(range);
    return text;
}
