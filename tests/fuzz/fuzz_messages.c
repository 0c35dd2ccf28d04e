/* Any bytes as each of the protocol's messages: what is taken, written and taken again is written
 * alike. The first byte chooses the message. */
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "overhand.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const ProtobufCMessageDescriptor *const messages[] = {
    &overhand__wire__hello__descriptor,          &overhand__wire__hello_reply__descriptor,
    &overhand__wire__status__descriptor,         &overhand__wire__register_worker__descriptor,
    &overhand__wire__heartbeat__descriptor,      &overhand__wire__heartbeat_reply__descriptor,
    &overhand__wire__register_app__descriptor,   &overhand__wire__renew_app__descriptor,
    &overhand__wire__app_reply__descriptor,      &overhand__wire__register_shuffle__descriptor,
    &overhand__wire__layout__descriptor,         &overhand__wire__stand_in__descriptor,
    &overhand__wire__stand_in_reply__descriptor, &overhand__wire__lease__descriptor,
    &overhand__wire__unregister__descriptor,     &overhand__wire__push__descriptor,
    &overhand__wire__open__descriptor,           &overhand__wire__data__descriptor,
    &overhand__wire__credit__descriptor,         &overhand__wire__cancel__descriptor,
    &overhand__wire__open_end__descriptor,       &overhand__wire__list__descriptor,
    &overhand__wire__list_reply__descriptor,     &overhand__wire__inspect__descriptor,
    &overhand__wire__inspect_reply__descriptor,
};

/* Does it hold a field that this version does not know? protobuf-c keeps such a field's bytes as
 * they are, also where they were written in an unusual way, and may read them differently again. */
static bool fuzz_is_foreign(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;

    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const void *value = (const uint8_t *)message + field->offset;
        size_t n = 1;

        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        const ProtobufCMessage *const *messages_of_field = value;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            n = *(const size_t *)((const uint8_t *)message + field->quantifier_offset);
            messages_of_field = *(const ProtobufCMessage *const *const *)value;
        }
        for (size_t j = 0; j < n; j++)
            if (messages_of_field[j] != NULL && fuzz_is_foreign(messages_of_field[j]))
                return true;
    }
    return message->n_unknown_fields > 0;
}

/* Take and write. NULL: refused, or foreign. Owns: the caller, mem_free. */
static uint8_t *fuzz_rewrite(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                             size_t len, size_t *again_len)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, len, bytes);
    uint8_t *again;

    if (message == NULL)
        return NULL;
    if (fuzz_is_foreign(message)) {
        protobuf_c_message_free_unpacked(message, NULL);
        return NULL;
    }
    *again_len = protobuf_c_message_get_packed_size(message);
    again = mem_alloc(*again_len + 1);
    ASSERT(protobuf_c_message_pack(message, again) == *again_len);
    protobuf_c_message_free_unpacked(message, NULL);
    return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t first_len, second_len;
    uint8_t *first, *second;

    if (len < 1)
        return 0;
    const ProtobufCMessageDescriptor *descriptor =
        messages[data[0] % (sizeof messages / sizeof messages[0])];
    first = fuzz_rewrite(descriptor, data + 1, len - 1, &first_len);
    if (first == NULL)
        return 0;
    second = fuzz_rewrite(descriptor, first, first_len, &second_len);
    ASSERT(second != NULL && first_len == second_len && memcmp(first, second, first_len) == 0);
    mem_free(first);
    mem_free(second);
    return 0;
}
