/* The driver's functions of overhand.h. Each posts one task to the loop and waits with the
 * client's condition; a call that runs out of time leaves its operation running, and the next
 * call waits for the same one. */
#include "client/driver.h"

#include <string.h>

#include "client/client.h"
#include "core/mem.h"

static struct overhand_client *driver_client(struct driver *driver)
{
    return container_of(driver, struct overhand_client, driver);
}

static void step_finish(struct overhand_client *client, struct driver_step *step, int status,
                        const char *text)
{
    client_lock(client);
    step->state = DRIVER_DONE;
    step->status = status;
    snprintf(step->text, sizeof step->text, "%s", text);
    pthread_cond_broadcast(&client->wake);
    client_unlock(client);
}

/* Start the step unless it is running, and wait for its end. With the mutex held. False: time is
 * up. */
static bool step_wait(struct overhand_client *client, struct driver_step *step,
                      uint64_t deadline_ns)
{
    if (step->state != DRIVER_RUNNING) {
        step->state = DRIVER_RUNNING;
        loop_post(client->env.loop, &step->task);
    }
    while (step->state == DRIVER_RUNNING) {
        if (!client_wait(client, &client->wake, deadline_ns))
            return step->state != DRIVER_RUNNING;
    }
    return true;
}

/* ---- application ---- */

static void driver_on_opened(struct app_lease *lease, int status, const char *text)
{
    step_finish(lease->client, &lease->client->driver.open, status, text);
}

static void driver_on_open(struct loop_task *task)
{
    struct driver *driver = container_of(task, struct driver, open.task);

    app_lease_open(&driver->lease, driver_on_opened);
}

int overhand_app_open(struct overhand_client *client, uint32_t timeout_ms)
{
    struct driver_step *step = &client->driver.open;
    uint64_t deadline_ns = client_deadline_ns(client, timeout_ms);
    char text[LIMIT_TEXT_BYTES] = "";
    int rc = 0;

    client_lock(client);
    if (client->driver.close.state != DRIVER_NONE) {
        rc = OVERHAND_E_INVALID;
        snprintf(text, sizeof text, "it has been closed");
    } else if (step->state != DRIVER_DONE ||
               step->status != 0) { /* opened already: nothing to do */
        rc = step_wait(client, step, deadline_ns) ? step->status : OVERHAND_E_AGAIN;
        if (rc != OVERHAND_E_AGAIN)
            snprintf(text, sizeof text, "%s", step->text);
    }
    client_unlock(client);
    if (rc == 0)
        return 0;
    return client_fail(client, rc, "registering application %s: %s", client->app_id,
                       *text != '\0' ? text : overhand_strerror(rc));
}

static void driver_on_lease_closed(struct app_lease *lease)
{
    step_finish(lease->client, &lease->client->driver.close, 0, "");
}

static void driver_on_close(struct loop_task *task)
{
    struct driver *driver = container_of(task, struct driver, close.task);

    app_lease_close(&driver->lease, driver_on_lease_closed);
}

void overhand_app_close(struct overhand_client *client, uint32_t timeout_ms)
{
    uint64_t deadline_ns = client_deadline_ns(client, timeout_ms);

    client_lock(client);
    if (client->driver.open.state == DRIVER_DONE && client->driver.open.status == 0 &&
        client->driver.close.state != DRIVER_DONE)
        step_wait(client, &client->driver.close, deadline_ns);
    client_unlock(client);
}

/* ---- shuffles ---- */

struct shuffle_register {
    struct overhand_client *client;
    const struct overhand_shuffle_options *options;
    struct loop_task task;
    struct master_call call;
    bool finished; /* crossing, and what follows */
    int status;
    char text[LIMIT_TEXT_BYTES];
    void *layout;
    size_t layout_len;
};

static void register_finish(struct shuffle_register *op, int status, const char *text)
{
    struct overhand_client *client = op->client;

    client_lock(client);
    op->finished = true;
    op->status = status;
    snprintf(op->text, sizeof op->text, "%s", text);
    pthread_cond_broadcast(&client->wake); /* `op` is gone after the unlock */
    client_unlock(client);
}

static void register_on_reply(struct master_call *call, int status, const uint8_t *reply,
                              size_t len, const char *text)
{
    struct shuffle_register *op = container_of(call, struct shuffle_register, call);
    struct layout layout;

    if (status != 0) {
        register_finish(op, status, text);
        return;
    }
    if (layout_decode(&layout, reply, len) != 0) {
        register_finish(op, OVERHAND_E_PROTOCOL, "the master's layout is malformed");
        return;
    }
    bool ours = layout.app_uid == op->client->app_uid &&
                layout.shuffle_id == op->options->shuffle_id &&
                layout.n_partitions == op->options->n_partitions;
    if (ours) {
        app_lease_add_layout(&op->client->driver.lease, &layout);
        op->layout = mem_alloc(len);
        op->layout_len = len;
        memcpy(op->layout, reply, len);
    }
    layout_fini(&layout);
    register_finish(op, ours ? 0 : OVERHAND_E_PROTOCOL,
                    ours ? "" : "the master's layout is for another shuffle");
}

static void register_on_task(struct loop_task *task)
{
    struct shuffle_register *op = container_of(task, struct shuffle_register, task);
    Overhand__Wire__RegisterShuffle message;

    overhand__wire__register_shuffle__init(&message);
    message.shuffle_id = op->options->shuffle_id;
    message.n_maps = op->options->n_maps;
    message.n_partitions = op->options->n_partitions;
    message.replicas = op->options->replicas;
    masters_call(&op->client->masters, &op->call, OVERHAND__WIRE__ROLE__ROLE_DRIVER,
                 FRAME_REGISTER_SHUFFLE, &message.base, register_on_reply);
}

int overhand_shuffle_register(struct overhand_client *client,
                              const struct overhand_shuffle_options *options, void **layout,
                              size_t *layout_len)
{
    struct overhand_shuffle_options known = {0};
    struct shuffle_register op = {.client = client, .options = &known};

    if (options->size < offsetof(struct overhand_shuffle_options, replicas))
        return client_fail(client, OVERHAND_E_INVALID, "registering a shuffle: bad options");
    memcpy(&known, options, options->size < sizeof known ? options->size : sizeof known);
    if (known.n_partitions < 1 || known.n_partitions > LIMIT_PARTITIONS || known.replicas > 2)
        return client_fail(client, OVERHAND_E_INVALID,
                           "registering a shuffle: %u partitions, %u copies", known.n_partitions,
                           known.replicas);
    if (known.replicas == 0)
        known.replicas = 1;
    loop_task_init(&op.task, register_on_task);
    loop_post(client->env.loop, &op.task);
    client_lock(client);
    while (!op.finished)
        client_wait(client, &client->wake, UINT64_MAX); /* masters_call keeps the time */
    client_unlock(client);
    if (op.status != 0)
        return client_fail(client, op.status, "registering shuffle %u: %s", known.shuffle_id,
                           op.text);
    *layout = op.layout;
    *layout_len = op.layout_len;
    return 0;
}

static void driver_on_unregister(struct loop_task *task)
{
    struct driver *driver = container_of(task, struct driver, unregister_task);
    struct overhand_client *client = driver_client(driver);

    client_lock(client);
    struct app_dropped *dropped = driver->unregisters;
    size_t n = driver->n_unregisters;
    driver->unregisters = NULL;
    driver->n_unregisters = 0;
    client_unlock(client);
    app_drops_add(&driver->lease.drops, dropped, n);
    mem_free(dropped);
}

static void driver_on_dropped(struct app_lease *lease)
{
    struct overhand_client *client = lease->client;
    struct driver *driver = &client->driver;

    client_lock(client);
    if (driver->n_drop_waits > 0) {
        driver->n_settled = app_drops_n_settled(&lease->drops);
        driver->n_told = app_drops_n_told(&lease->drops);
        pthread_cond_broadcast(&client->wake);
    }
    client_unlock(client);
}

/* Wait until the drop of this number is settled. With the mutex held. Have all confirmed it? */
static bool drop_wait(struct overhand_client *client, uint64_t number, uint64_t deadline_ns)
{
    struct driver *driver = &client->driver;

    driver->n_drop_waits++;
    while (driver->n_settled <= number && client_wait(client, &client->wake, deadline_ns))
        ;
    driver->n_drop_waits--;
    return driver->n_told > number;
}

int overhand_shuffle_unregister(struct overhand_client *client, uint32_t shuffle_id,
                                uint64_t attempts_below, uint32_t timeout_ms)
{
    struct driver *driver = &client->driver;
    uint64_t deadline_ns = client_deadline_ns(client, timeout_ms), number;
    bool told = true;

    client_lock(client);
    number = driver->n_dropped++;
    driver->unregisters = mem_reallocarray(driver->unregisters, driver->n_unregisters + 1,
                                           sizeof *driver->unregisters);
    driver->unregisters[driver->n_unregisters++] = (struct app_dropped){shuffle_id, attempts_below};
    if (driver->n_unregisters == 1)
        loop_post(client->env.loop, &driver->unregister_task);
    if (timeout_ms > 0)
        told = drop_wait(client, number, deadline_ns);
    client_unlock(client);
    if (told)
        return 0;
    return client_fail(client, OVERHAND_E_AGAIN, "dropping shuffle %u: not every worker answered",
                       shuffle_id);
}

void overhand_free(void *memory)
{
    mem_free(memory);
}

void driver_init(struct driver *driver, struct overhand_client *client)
{
    *driver = (struct driver){0};
    app_lease_init(&driver->lease, client, driver_on_dropped);
    loop_task_init(&driver->open.task, driver_on_open);
    loop_task_init(&driver->close.task, driver_on_close);
    loop_task_init(&driver->unregister_task, driver_on_unregister);
}

void driver_fini(struct driver *driver)
{
    app_lease_fini(&driver->lease);
    mem_free(driver->unregisters);
}
