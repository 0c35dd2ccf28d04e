/* The relay's thread: poll, then whatever is ready.
 *
 *   accept -> connect to the worker -> both directions: read into the pipe, wait until due, write
 *   end of one direction: what is left goes out, then the other side's half is shut down
 *   an error of either side, or both ends: the connection is over; errors are handed on as resets
 *
 * Others talk to the thread through `orders`, under the mutex, and wake it with an eventfd. */
#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"

enum {
    RELAY_CONNECTIONS_MAX = 512,
    RELAY_MARKS = 64, /* reads of one pipe that are not due yet */
    RELAY_TICK_MS = 10,
    RELAY_IDLE_MS = 1000,
};

/* One direction: a ring of bytes, and when which of them are due. */
struct relay_pipe {
    int from, to;
    uint8_t *bytes; /* owned: RELAY_PIPE_BYTES */
    size_t head, len;
    struct {
        size_t bytes;
        uint64_t due_ms;
    } marks[RELAY_MARKS]; /* of all of len, oldest first from first_mark */
    unsigned first_mark, n_marks;
    bool ended; /* `from` sends no more */
    bool shut;  /* `to` was told */
};

struct relay_conn {
    struct relay_pipe up, down;
    bool connecting;
};

struct relay_orders {
    enum relay_state state;
    uint64_t bytes_per_second;
    uint32_t delay_ms;
    bool reset, end;
};

struct relay {
    pthread_t thread;
    pthread_mutex_t mutex;
    struct relay_orders orders; /* under the mutex, as the next */
    struct relay_stats stats;
    int wake;

    /* the thread's */
    struct address listen, backend;
    struct relay_orders current;
    int listener; /* -1: nobody listens */
    struct relay_conn *conns[RELAY_CONNECTIONS_MAX];
    unsigned n_conns;
    uint64_t tokens, tokens_ms; /* bytes that may go; when that was counted */
    uint64_t n_moved;           /* not yet in the stats */
};

static uint64_t relay_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct sockaddr_in relay_sockaddr(const struct address *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    int rc = inet_pton(AF_INET, address->host, &to.sin_addr);

    ASSERT(rc == 1);
    return to;
}

static void relay_listen(struct relay *relay)
{
    struct sockaddr_in at = relay_sockaddr(&relay->listen);
    int one = 1, rc;

    relay->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ASSERT(relay->listener >= 0);
    rc = setsockopt(relay->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    ASSERT(rc == 0);
    rc = bind(relay->listener, (struct sockaddr *)&at, sizeof at);
    ASSERT(rc == 0);
    rc = listen(relay->listener, 128);
    ASSERT(rc == 0);
}

/* ---- pipes ---- */

static void pipe_init(struct relay_pipe *pipe, int from, int to)
{
    *pipe = (struct relay_pipe){.from = from, .to = to, .bytes = mem_alloc(RELAY_PIPE_BYTES)};
}

static bool pipe_has_room(const struct relay_pipe *pipe)
{
    return !pipe->ended && pipe->len < RELAY_PIPE_BYTES && pipe->n_marks < RELAY_MARKS;
}

/* Bytes that are due. */
static size_t pipe_due(const struct relay_pipe *pipe, uint64_t now_ms)
{
    size_t due = 0;

    for (unsigned i = 0; i < pipe->n_marks; i++) {
        unsigned at = (pipe->first_mark + i) % RELAY_MARKS;

        if (pipe->marks[at].due_ms > now_ms)
            break;
        due += pipe->marks[at].bytes;
    }
    return due;
}

/* Read once. Returns: false when the connection is broken. */
static bool pipe_read(struct relay_pipe *pipe, uint64_t due_ms)
{
    size_t tail = (pipe->head + pipe->len) % RELAY_PIPE_BYTES;
    size_t room = RELAY_PIPE_BYTES - pipe->len;
    size_t straight = RELAY_PIPE_BYTES - tail;
    ssize_t n = read(pipe->from, pipe->bytes + tail, room < straight ? room : straight);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0) {
        pipe->ended = true;
        return true;
    }
    unsigned at = (pipe->first_mark + pipe->n_marks++) % RELAY_MARKS;
    pipe->marks[at].bytes = (size_t)n;
    pipe->marks[at].due_ms = due_ms;
    pipe->len += (size_t)n;
    return true;
}

static void pipe_consume(struct relay_pipe *pipe, size_t n)
{
    pipe->head = (pipe->head + n) % RELAY_PIPE_BYTES;
    pipe->len -= n;
    while (n > 0) {
        size_t part = pipe->marks[pipe->first_mark].bytes;

        if (part > n) {
            pipe->marks[pipe->first_mark].bytes -= n;
            return;
        }
        n -= part;
        pipe->first_mark = (pipe->first_mark + 1) % RELAY_MARKS;
        pipe->n_marks--;
    }
}

/* Write once, at most `max` bytes. Returns: bytes, or -1 when the connection is broken. */
static ssize_t pipe_write(struct relay_pipe *pipe, size_t max, uint64_t now_ms)
{
    size_t straight = RELAY_PIPE_BYTES - pipe->head;
    size_t len = pipe_due(pipe, now_ms);
    ssize_t n = 0;

    if (len > straight)
        len = straight;
    if (len > max)
        len = max;
    if (len > 0) {
        n = write(pipe->to, pipe->bytes + pipe->head, len);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        pipe_consume(pipe, (size_t)n);
    }
    if (pipe->ended && pipe->len == 0 && !pipe->shut) {
        pipe->shut = true;
        if (shutdown(pipe->to, SHUT_WR) != 0)
            return -1;
    }
    return n;
}

/* ---- connections ---- */

static void fd_close(int fd, bool reset)
{
    struct linger linger = {.l_onoff = 1};

    if (reset)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

static void relay_end_conn(struct relay *relay, unsigned index, bool reset)
{
    struct relay_conn *conn = relay->conns[index];

    fd_close(conn->up.from, reset);
    fd_close(conn->down.from, reset);
    mem_free(conn->up.bytes);
    mem_free(conn->down.bytes);
    mem_free(conn);
    relay->conns[index] = relay->conns[--relay->n_conns];
}

static void relay_cut_all(struct relay *relay)
{
    pthread_mutex_lock(&relay->mutex);
    relay->stats.n_cut += relay->n_conns;
    pthread_mutex_unlock(&relay->mutex);
    while (relay->n_conns > 0)
        relay_end_conn(relay, 0, true);
}

static void relay_accept(struct relay *relay)
{
    struct sockaddr_in to = relay_sockaddr(&relay->backend);
    int client = accept4(relay->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int worker, one = 1;

    if (client < 0)
        return; /* gone again */
    worker = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ASSERT(worker >= 0);
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(worker, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(worker, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        fd_close(client, true);
        fd_close(worker, false);
        return;
    }
    struct relay_conn *conn = mem_zalloc(sizeof *conn);
    conn->connecting = true;
    pipe_init(&conn->up, client, worker);
    pipe_init(&conn->down, worker, client);
    relay->conns[relay->n_conns++] = conn;
    pthread_mutex_lock(&relay->mutex);
    relay->stats.n_connections++;
    pthread_mutex_unlock(&relay->mutex);
}

/* The worker has answered. Returns: false when it refused. */
static bool conn_connected(struct relay_conn *conn)
{
    int error = 0;
    socklen_t len = sizeof error;
    int rc = getsockopt(conn->up.to, SOL_SOCKET, SO_ERROR, &error, &len);

    ASSERT(rc == 0);
    conn->connecting = false;
    return error == 0;
}

/* Move what can be moved one way. Returns: false when the connection is broken. */
static bool relay_move(struct relay *relay, struct relay_pipe *pipe, short readable,
                       uint64_t now_ms)
{
    bool limited = relay->current.bytes_per_second > 0;

    if ((readable & (POLLIN | POLLHUP | POLLERR)) != 0 && pipe_has_room(pipe) &&
        !pipe_read(pipe, now_ms + relay->current.delay_ms))
        return false;
    ssize_t n = pipe_write(pipe, limited ? relay->tokens : RELAY_PIPE_BYTES, now_ms);
    if (n < 0)
        return false;
    relay->n_moved += (uint64_t)n;
    if (limited)
        relay->tokens -= (uint64_t)n;
    return true;
}

/* ---- the loop ---- */

static short pipe_wants(const struct relay_pipe *in, const struct relay_pipe *out, bool can_send,
                        uint64_t now_ms)
{
    short events = pipe_has_room(in) ? POLLIN : 0;

    if (can_send && (pipe_due(out, now_ms) > 0 || (out->ended && !out->shut && out->len == 0)))
        events |= POLLOUT;
    return events;
}

/* Fill in what to wait for: wake, listener, then two for each connection. Returns: how many. */
static unsigned relay_fill(struct relay *relay, struct pollfd *fds, uint64_t now_ms, int *wait_ms)
{
    bool stalled = relay->current.state == RELAY_STALL;
    bool can_send = relay->current.bytes_per_second == 0 || relay->tokens > 0;
    bool full = relay->n_conns == RELAY_CONNECTIONS_MAX;
    unsigned n = 2;

    *wait_ms = can_send ? RELAY_IDLE_MS : RELAY_TICK_MS;
    fds[0] = (struct pollfd){.fd = relay->wake, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = full ? -1 : relay->listener, .events = POLLIN};
    for (unsigned i = 0; i < relay->n_conns; i++) {
        const struct relay_conn *conn = relay->conns[i];
        short up = pipe_wants(&conn->up, &conn->down, can_send, now_ms);
        short down = pipe_wants(&conn->down, &conn->up, can_send, now_ms);

        if (conn->connecting) {
            up = 0;
            down = POLLOUT;
        }
        /* a negative fd is passed over, so that a hang-up we cannot act on yet does not spin */
        fds[n++] = (struct pollfd){.fd = stalled || up == 0 ? -1 : conn->up.from, .events = up};
        fds[n++] =
            (struct pollfd){.fd = stalled || down == 0 ? -1 : conn->down.from, .events = down};
        if (!stalled && conn->up.n_marks + conn->down.n_marks > 0 && relay->current.delay_ms > 0)
            *wait_ms = RELAY_TICK_MS;
    }
    return n;
}

static void relay_serve(struct relay *relay, const struct pollfd *fds, uint64_t now_ms)
{
    for (unsigned i = relay->n_conns; i-- > 0;) {
        struct relay_conn *conn = relay->conns[i];
        short client = fds[2 + 2 * i].revents, worker = fds[3 + 2 * i].revents;

        if (conn->connecting) {
            if (worker != 0 && !conn_connected(conn))
                relay_end_conn(relay, i, true);
            continue;
        }
        if (!relay_move(relay, &conn->up, client, now_ms) ||
            !relay_move(relay, &conn->down, worker, now_ms))
            relay_end_conn(relay, i, true);
        else if (conn->up.shut && conn->down.shut)
            relay_end_conn(relay, i, false);
    }
}

/* Take over what was ordered. */
static void relay_obey(struct relay *relay)
{
    uint64_t count;
    bool reset;

    (void)!read(relay->wake, &count, sizeof count); /* nothing there: nobody woke us */
    pthread_mutex_lock(&relay->mutex);
    relay->current = relay->orders;
    reset = relay->orders.reset;
    relay->orders.reset = false;
    relay->stats.n_bytes += relay->n_moved;
    relay->n_moved = 0;
    pthread_mutex_unlock(&relay->mutex);
    if (reset || relay->current.state == RELAY_REFUSE)
        relay_cut_all(relay);
    if (relay->current.state == RELAY_REFUSE && relay->listener >= 0) {
        close(relay->listener);
        relay->listener = -1;
    }
    if (relay->current.state != RELAY_REFUSE && relay->listener < 0)
        relay_listen(relay);
}

static void relay_count_tokens(struct relay *relay, uint64_t now_ms)
{
    uint64_t rate = relay->current.bytes_per_second, burst = rate / 20 + 1;

    relay->tokens += rate * (now_ms - relay->tokens_ms) / 1000;
    relay->tokens_ms = now_ms;
    if (relay->tokens > burst)
        relay->tokens = burst;
}

static void *relay_run(void *arg)
{
    struct relay *relay = arg;
    struct pollfd *fds = mem_reallocarray(NULL, 2 + 2 * RELAY_CONNECTIONS_MAX, sizeof *fds);

    for (relay_obey(relay); !relay->current.end; relay_obey(relay)) {
        uint64_t now_ms = relay_now_ms();
        int wait_ms, n;

        relay_count_tokens(relay, now_ms);
        unsigned n_fds = relay_fill(relay, fds, now_ms, &wait_ms);
        n = poll(fds, n_fds, wait_ms);
        ASSERT(n >= 0 || errno == EINTR);
        if (n < 0)
            continue;
        if (relay->current.state == RELAY_OPEN)
            relay_serve(relay, fds, relay_now_ms());
        if ((fds[1].revents & POLLIN) != 0)
            relay_accept(relay);
    }
    relay_cut_all(relay);
    if (relay->listener >= 0)
        close(relay->listener);
    mem_free(fds);
    return NULL;
}

/* ---- the others ---- */

struct relay *relay_new(const struct address *listen, const struct address *backend)
{
    struct relay *relay = mem_zalloc(sizeof *relay);
    int rc;

    relay->listen = *listen;
    relay->backend = *backend;
    relay->tokens_ms = relay_now_ms();
    relay_listen(relay);
    relay->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ASSERT(relay->wake >= 0);
    pthread_mutex_init(&relay->mutex, NULL);
    rc = pthread_create(&relay->thread, NULL, relay_run, relay);
    ASSERT(rc == 0);
    return relay;
}

/* The orders were changed: unlock, and let the thread see them. */
static void relay_wake(struct relay *relay)
{
    uint64_t one = 1;

    pthread_mutex_unlock(&relay->mutex);
    ssize_t n = write(relay->wake, &one, sizeof one);
    ASSERT(n == sizeof one);
}

void relay_free(struct relay *relay)
{
    if (relay == NULL)
        return;
    pthread_mutex_lock(&relay->mutex);
    relay->orders.end = true;
    relay_wake(relay);
    pthread_join(relay->thread, NULL);
    close(relay->wake);
    pthread_mutex_destroy(&relay->mutex);
    mem_free(relay);
}

void relay_set_state(struct relay *relay, enum relay_state state)
{
    pthread_mutex_lock(&relay->mutex);
    relay->orders.state = state;
    relay_wake(relay);
}

void relay_set_speed(struct relay *relay, uint64_t bytes_per_second, uint32_t delay_ms)
{
    pthread_mutex_lock(&relay->mutex);
    relay->orders.bytes_per_second = bytes_per_second;
    relay->orders.delay_ms = delay_ms;
    relay_wake(relay);
}

void relay_reset(struct relay *relay)
{
    pthread_mutex_lock(&relay->mutex);
    relay->orders.reset = true;
    relay_wake(relay);
}

struct relay_stats relay_stats(struct relay *relay)
{
    struct relay_stats stats;

    pthread_mutex_lock(&relay->mutex);
    stats = relay->stats;
    pthread_mutex_unlock(&relay->mutex);
    return stats;
}
