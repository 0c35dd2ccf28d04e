/* Addresses as text: "host:port", "[v6]:port" and, with a default port, "host" and "[v6]". */
#include "core/address.h"

#include <ctype.h>
#include <string.h>

#include "core/mem.h"

/* Names and IPv4: letters, digits, '.', '-', '_'. In brackets, for IPv6: also ':' and '%'. */
static bool address_host_valid(const char *host, bool bracketed)
{
    if (host[0] == '\0')
        return false;
    for (const char *c = host; *c != '\0'; c++) {
        bool valid = isalnum((unsigned char)*c) || *c == '.' || *c == '-' || *c == '_' ||
                     (bracketed && (*c == ':' || *c == '%'));
        if (!valid)
            return false;
    }
    return !bracketed || strchr(host, ':') != NULL;
}

static int address_parse_port(const char *text, uint16_t *port)
{
    unsigned value = 0;

    if (*text == '\0')
        return OVERHAND_E_INVALID;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return OVERHAND_E_INVALID;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > UINT16_MAX)
            return OVERHAND_E_INVALID;
    }
    if (value == 0)
        return OVERHAND_E_INVALID;
    *port = (uint16_t)value;
    return 0;
}

int address_parse(const char *text, uint16_t default_port, struct address *address)
{
    bool bracketed = text[0] == '[';
    const char *host = bracketed ? text + 1 : text;
    size_t host_len = strcspn(host, bracketed ? "]" : ":");
    const char *rest = host + host_len;

    if (host_len > LIMIT_HOST_BYTES)
        return OVERHAND_E_INVALID;
    if (bracketed && *rest++ != ']')
        return OVERHAND_E_INVALID;
    memcpy(address->host, host, host_len);
    address->host[host_len] = '\0';
    if (!address_host_valid(address->host, bracketed))
        return OVERHAND_E_INVALID;
    if (*rest == '\0' && default_port != 0) {
        address->port = default_port;
        return 0;
    }
    if (*rest != ':')
        return OVERHAND_E_INVALID;
    return address_parse_port(rest + 1, &address->port);
}

/* One item of a list, spaces around it allowed. */
static int address_parse_item(const char *item, size_t len, uint16_t default_port,
                              struct address *address)
{
    char text[ADDRESS_TEXT_BYTES];

    for (; len > 0 && *item == ' '; len--)
        item++;
    while (len > 0 && item[len - 1] == ' ')
        len--;
    if (len >= sizeof text)
        return OVERHAND_E_INVALID;
    memcpy(text, item, len);
    text[len] = '\0';
    return address_parse(text, default_port, address);
}

int address_parse_list(const char *text, uint16_t default_port, struct address **addresses,
                       unsigned *n_addresses)
{
    struct address *list = NULL;
    unsigned n = 0;

    for (;;) {
        size_t len = strcspn(text, ",");
        list = mem_reallocarray(list, n + 1, sizeof *list);
        int rc = address_parse_item(text, len, default_port, &list[n]);
        if (rc != 0) {
            mem_free(list);
            return rc;
        }
        n++;
        if (text[len] == '\0')
            break;
        text += len + 1;
    }
    *addresses = list;
    *n_addresses = n;
    return 0;
}

const char *address_format(const struct address *address, char text[ADDRESS_TEXT_BYTES])
{
    const char *format = strchr(address->host, ':') != NULL ? "[%s]:%u" : "%s:%u";

    snprintf(text, ADDRESS_TEXT_BYTES, format, address->host, (unsigned)address->port);
    return text;
}
