/* Any text as an address, a list of addresses, a size, a duration, a count or a percentage: what is
 * taken reads back equal from what is written for it. The first byte chooses. */
#include <string.h>

#include "core/address.h"
#include "core/mem.h"
#include "core/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fuzz_address(const char *text, uint16_t default_port)
{
    char again[ADDRESS_TEXT_BYTES];
    struct address address, second;

    if (address_parse(text, default_port, &address) != 0)
        return;
    ASSERT(address.port != 0 && address.host[0] != '\0');
    int rc = address_parse(address_format(&address, again), 0, &second);
    ASSERT(rc == 0 && strcmp(address.host, second.host) == 0 && address.port == second.port);
}

static void fuzz_list(const char *text)
{
    struct address *addresses;
    unsigned n;

    if (address_parse_list(text, 9700, &addresses, &n) != 0)
        return;
    ASSERT(n > 0);
    mem_free(addresses);
}

static void fuzz_unit(const char *text, int (*parse)(const char *, uint64_t *),
                      const char *(*format)(uint64_t, char *))
{
    char again[UNITS_TEXT_BYTES];
    uint64_t value, second;

    if (parse(text, &value) != 0)
        return;
    int rc = parse(format(value, again), &second);
    ASSERT(rc == 0 && value == second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint64_t value;
    char *text;

    if (len < 1)
        return 0;
    text = mem_alloc(len);
    memcpy(text, data + 1, len - 1);
    text[len - 1] = '\0';
    switch (data[0] % 6) {
    case 0:
        fuzz_address(text, (uint16_t)(data[0] / 6));
        break;
    case 1:
        fuzz_list(text);
        break;
    case 2:
        fuzz_unit(text, units_parse_size, units_format_size);
        break;
    case 3:
        fuzz_unit(text, units_parse_duration, units_format_duration);
        break;
    case 4:
        if (units_parse_percent(text, &value) == 0)
            ASSERT(value <= 100);
        break;
    default:
        if (units_parse_count(text, &value) == 0)
            ASSERT(text[0] >= '0' && text[0] <= '9');
    }
    mem_free(text);
    return 0;
}
