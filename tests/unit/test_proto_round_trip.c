/* Every message of the protocol survives packing and unpacking. Generated: the messages are found
 * by walking protobuf-c's descriptors from those that frames carry, and each field is filled by
 * its descriptor, so that a new message or field is tested without a line written here. Only the
 * table of frame types names messages; its length is checked against enum frame_type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/frame.h"
#include "core/mem.h"
#include "overhand.pb-c.h"

enum { MESSAGES_MAX = 100, DEPTH_MAX = 4, ELEMENTS = 3 };

#define WIRE(name) (&overhand__wire__##name##__descriptor)

/* What the frames of each type carry: request, then replies. */
static const ProtobufCMessageDescriptor *const frame_messages[FRAME_TYPE_END][3] = {
    [FRAME_HELLO] = {WIRE(hello), WIRE(hello_reply)},
    [FRAME_REGISTER_WORKER] = {WIRE(register_worker), WIRE(heartbeat_reply)},
    [FRAME_HEARTBEAT] = {WIRE(heartbeat), WIRE(heartbeat_reply)},
    [FRAME_REGISTER_APP] = {WIRE(register_app), WIRE(app_reply)},
    [FRAME_RENEW_APP] = {WIRE(renew_app), WIRE(app_reply)},
    [FRAME_REGISTER_SHUFFLE] = {WIRE(register_shuffle), WIRE(layout)},
    [FRAME_STAND_IN] = {WIRE(stand_in), WIRE(stand_in_reply)},
    [FRAME_LEASE] = {WIRE(lease), WIRE(status)},
    [FRAME_UNREGISTER] = {WIRE(unregister), WIRE(status)},
    [FRAME_PUSH] = {WIRE(push), WIRE(status)},
    [FRAME_OPEN] = {WIRE(open), WIRE(open_end), WIRE(data)},
    [FRAME_DATA] = {WIRE(data)},
    [FRAME_CREDIT] = {WIRE(credit)},
    [FRAME_CANCEL] = {WIRE(cancel)},
    [FRAME_LIST] = {WIRE(list), WIRE(list_reply)},
    [FRAME_INSPECT] = {WIRE(inspect), WIRE(inspect_reply)},
    [FRAME_WHERE] = {WIRE(where), WIRE(where_reply)},
    [FRAME_SET_SERVICE] = {WIRE(set_service), WIRE(status)},
    [FRAME_TOLD] = {WIRE(told), WIRE(status)},
};

static const ProtobufCMessageDescriptor *messages[MESSAGES_MAX];
static size_t n_messages;

/* Note a message and all that it contains. */
static void messages_add(const ProtobufCMessageDescriptor *message)
{
    for (size_t i = 0; i < n_messages; i++) {
        if (messages[i] == message)
            return;
    }
    assert_true(n_messages < MESSAGES_MAX);
    messages[n_messages++] = message;
    for (unsigned i = 0; i < message->n_fields; i++) {
        if (message->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            messages_add(message->fields[i].descriptor);
    }
}

static int setup(void **state)
{
    for (int type = 0; type < FRAME_TYPE_END; type++) {
        for (int i = 0; i < 3; i++) {
            if (frame_messages[type][i] != NULL)
                messages_add(frame_messages[type][i]);
        }
    }
    return 0;
}

/* ---- filling by descriptor ---- */

static ProtobufCMessage *message_make(const ProtobufCMessageDescriptor *descriptor, unsigned seed,
                                      int depth);

static size_t element_bytes(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

/* Put a value that is not the default, and depends on `seed`, into the member. */
static void element_fill(const ProtobufCFieldDescriptor *field, void *member, unsigned seed,
                         int depth)
{
    uint64_t number = 0x8091a2b3c4d5e6f7ULL * (2 * seed + 1);
    const ProtobufCEnumDescriptor *values = field->descriptor;
    ProtobufCBinaryData data;
    char *text;

    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)member = 1;
        break;
    case PROTOBUF_C_TYPE_ENUM:
        *(int *)member = values->values[1 + seed % (values->n_values - 1)].value;
        break;
    case PROTOBUF_C_TYPE_STRING:
        text = mem_printf("text %u of %s", seed, field->name);
        *(char **)member = text;
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)member = message_make(field->descriptor, seed + 1, depth + 1);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        data.data = (uint8_t *)mem_printf("bytes %u", seed);
        data.len = strlen((char *)data.data);
        *(ProtobufCBinaryData *)member = data;
        break;
    default:
        memcpy(member, &number, element_bytes(field));
        break;
    }
}

static void field_fill(const ProtobufCFieldDescriptor *field, char *message, unsigned seed,
                       int depth)
{
    char *member = message + field->offset;

    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t bytes = element_bytes(field);
        char *elements = mem_zalloc(ELEMENTS * bytes);

        for (unsigned i = 0; i < ELEMENTS; i++)
            element_fill(field, elements + i * bytes, seed + i, depth);
        *(size_t *)(message + field->quantifier_offset) = ELEMENTS;
        *(char **)member = elements;
    } else {
        element_fill(field, member, seed, depth);
    }
}

static ProtobufCMessage *message_make(const ProtobufCMessageDescriptor *descriptor, unsigned seed,
                                      int depth)
{
    ProtobufCMessage *message = mem_zalloc(descriptor->sizeof_message);

    assert_true(depth < DEPTH_MAX);
    descriptor->message_init(message);
    for (unsigned i = 0; i < descriptor->n_fields; i++)
        field_fill(&descriptor->fields[i], (char *)message, seed * 31 + i, depth);
    return message;
}

/* ---- the tests ---- */

static uint8_t *message_pack(const ProtobufCMessage *message, size_t *len)
{
    uint8_t *bytes;

    *len = protobuf_c_message_get_packed_size(message);
    bytes = mem_alloc(*len + 1);
    assert_int_equal(protobuf_c_message_pack(message, bytes), *len);
    return bytes;
}

static void test_every_message_survives_a_round_trip_with_all_fields_set(void **state)
{
    for (size_t i = 0; i < n_messages; i++) {
        ProtobufCMessage *message = message_make(messages[i], (unsigned)i, 0);
        size_t len, again_len;
        uint8_t *bytes = message_pack(message, &len);
        ProtobufCMessage *read = protobuf_c_message_unpack(messages[i], NULL, len, bytes);
        uint8_t *again;

        assert_non_null(read);
        assert_int_equal(read->n_unknown_fields, 0);
        again = message_pack(read, &again_len);
        assert_int_equal(len, again_len);
        assert_memory_equal(bytes, again, len);
        assert_true(messages[i]->n_fields == 0 || len > 0);
        mem_free(again);
        mem_free(bytes);
        protobuf_c_message_free_unpacked(read, NULL);
        protobuf_c_message_free_unpacked(message, NULL); /* made by malloc, as unpack does */
    }
}

/* A field that is packed must come back in itself: alone, no other field may appear. */
static void test_every_field_survives_alone(void **state)
{
    for (size_t i = 0; i < n_messages; i++) {
        for (unsigned k = 0; k < messages[i]->n_fields; k++) {
            ProtobufCMessage *message = mem_zalloc(messages[i]->sizeof_message);
            size_t len, again_len;
            uint8_t *bytes, *again;
            ProtobufCMessage *read;

            messages[i]->message_init(message);
            field_fill(&messages[i]->fields[k], (char *)message, k, 0);
            bytes = message_pack(message, &len);
            read = protobuf_c_message_unpack(messages[i], NULL, len, bytes);
            assert_non_null(read);
            again = message_pack(read, &again_len);
            assert_true(len > 0);
            assert_int_equal(len, again_len);
            assert_memory_equal(bytes, again, len);
            mem_free(again);
            mem_free(bytes);
            protobuf_c_message_free_unpacked(read, NULL);
            protobuf_c_message_free_unpacked(message, NULL);
        }
    }
}

static void test_a_cut_message_is_never_read_as_something_else_than_a_shorter_one(void **state)
{
    for (size_t i = 0; i < n_messages; i++) {
        ProtobufCMessage *message = message_make(messages[i], (unsigned)i, 0);
        size_t len;
        uint8_t *bytes = message_pack(message, &len);

        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *part = mem_alloc(cut + 1); /* its own memory: reading behind it would show */
            ProtobufCMessage *read;

            memcpy(part, bytes, cut);
            read = protobuf_c_message_unpack(messages[i], NULL, cut, part);
            if (read != NULL) {
                assert_true(protobuf_c_message_get_packed_size(read) <= cut);
                protobuf_c_message_free_unpacked(read, NULL);
            }
            mem_free(part);
        }
        mem_free(bytes);
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

static void test_every_frame_type_has_a_name_and_a_message(void **state)
{
    for (unsigned type = 1; type < FRAME_TYPE_END; type++) {
        assert_string_not_equal(frame_type_name(type), "UNKNOWN");
        assert_non_null(frame_messages[type][0]);
    }
}

/* REGISTER_WORKER and RegisterWorker are the same name. */
static void test_every_request_is_named_like_its_frame_type(void **state)
{
    for (unsigned type = 1; type < FRAME_TYPE_END; type++) {
        const char *message = frame_messages[type][0]->short_name;
        const char *frame = frame_type_name(type);

        for (; *frame != '\0'; frame++) {
            if (*frame == '_')
                continue;
            assert_int_equal(*frame & ~0x20, *message & ~0x20);
            message++;
        }
        assert_int_equal(*message, '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_survives_a_round_trip_with_all_fields_set),
        cmocka_unit_test(test_every_field_survives_alone),
        cmocka_unit_test(test_a_cut_message_is_never_read_as_something_else_than_a_shorter_one),
        cmocka_unit_test(test_every_frame_type_has_a_name_and_a_message),
        cmocka_unit_test(test_every_request_is_named_like_its_frame_type),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
