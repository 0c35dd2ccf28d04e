/* Every message of the protocol survives packing and unpacking. Generated: the messages are found
 * by walking protobuf-c's descriptors from those that frames carry, and each field is filled by
 * its descriptor, so that a new message or field is tested without a line written here. Only the
 * table of frame types names messages; its length is checked against enum frame_type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
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

/* ---- other versions ---- */

/* messages-VERSION.txt: a line "NAME HEX" for each message of that version, with all its fields set.
 * After a release: OVERHAND_RECORD_MESSAGES=tests/unit/messages-VERSION.txt build/dev/test_proto_round_trip,
 * and the file is one more to be read here. */
static const char *const recorded[] = {MESSAGES_DIR "/messages-0.1.txt"};

static const ProtobufCMessageDescriptor *message_named(const char *name)
{
    for (size_t i = 0; i < n_messages; i++)
        if (strcmp(messages[i]->short_name, name) == 0)
            return messages[i];
    return NULL;
}

static size_t hex_decode(const char *hex, uint8_t *bytes)
{
    size_t len = strspn(hex, "0123456789abcdef") / 2;

    for (size_t i = 0; i < len; i++) {
        unsigned value;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        bytes[i] = (uint8_t)value;
    }
    return len;
}

/* Fields that the reading side does not know are a field that was removed or renumbered. */
static bool message_knows_all(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;

    if (message->n_unknown_fields > 0)
        return false;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const char *base = (const char *)message;
        bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        size_t n = repeated ? *(const size_t *)(base + field->quantifier_offset) : 1;
        ProtobufCMessage *const *inner =
            repeated ? *(ProtobufCMessage *const *const *)(base + field->offset)
                     : (ProtobufCMessage *const *)(base + field->offset);

        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        for (size_t k = 0; k < n; k++)
            if (inner[k] != NULL && !message_knows_all(inner[k]))
                return false;
    }
    return true;
}

/* What they said is understood, and said again in the same bytes. */
static void recorded_is_understood(const char *line)
{
    char name[64];
    int hex_at = 0;
    uint8_t *bytes = mem_alloc(strlen(line));
    size_t len, again_len;

    assert_int_equal(sscanf(line, "%63s %n", name, &hex_at), 1);
    len = hex_decode(line + hex_at, bytes);
    if (message_named(name) == NULL)
        fail_msg("%s is no message any more", name);
    ProtobufCMessage *read = protobuf_c_message_unpack(message_named(name), NULL, len, bytes);
    if (read == NULL || !message_knows_all(read))
        fail_msg("%s: a field is another one now", name);
    uint8_t *again = message_pack(read, &again_len);
    assert_int_equal(again_len, len);
    assert_memory_equal(again, bytes, len);
    mem_free(again);
    mem_free(bytes);
    protobuf_c_message_free_unpacked(read, NULL);
}

static void test_messages_of_former_versions_are_understood(void **state)
{
    for (size_t i = 0; i < sizeof recorded / sizeof recorded[0]; i++) {
        FILE *file = fopen(recorded[i], "r");
        char *line = NULL;
        size_t capacity = 0, n = 0;

        assert_non_null(file);
        for (; getline(&line, &capacity, file) > 0; n++)
            recorded_is_understood(line);
        assert_true(n > 20);
        free(line);
        fclose(file);
    }
}

static int record(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (size_t i = 0; i < n_messages; i++) {
        ProtobufCMessage *message = message_make(messages[i], (unsigned)i, 0);
        size_t len;
        uint8_t *bytes = message_pack(message, &len);

        fprintf(file, "%s ", messages[i]->short_name);
        for (size_t k = 0; k < len; k++)
            fprintf(file, "%02x", bytes[k]);
        fputc('\n', file);
        mem_free(bytes);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    return fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_survives_a_round_trip_with_all_fields_set),
        cmocka_unit_test(test_every_field_survives_alone),
        cmocka_unit_test(test_a_cut_message_is_never_read_as_something_else_than_a_shorter_one),
        cmocka_unit_test(test_every_frame_type_has_a_name_and_a_message),
        cmocka_unit_test(test_every_request_is_named_like_its_frame_type),
        cmocka_unit_test(test_messages_of_former_versions_are_understood),
    };
    const char *path = getenv("OVERHAND_RECORD_MESSAGES");

    if (path != NULL) {
        (void)setup(NULL);
        return record(path);
    }
    return cmocka_run_group_tests(tests, setup, NULL);
}
