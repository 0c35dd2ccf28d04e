/* overhand-master: configuration, loop, server, signals.
 *
 *   configuration -> listen -> serve until SIGTERM or SIGINT -> close everything -> exit 0
 *
 * There is nothing to save: a master that starts again hears from every worker within two heartbeats. Exits with 2 for a
 * bad configuration, with 1 when it cannot listen. */
#include <signal.h>
#include <uv.h>

#include "core/log.h"
#include "core/machine.h"
#include "core/mem.h"
#include "master/master_conf.h"
#include "master/master_pages.h"
#include "master/master_server.h"
#include "net/log_signals.h"
#include "net/loop_uv.h"
#include "net/net_uv.h"

struct daemon {
    struct loop *loop;
    struct master_server *server;
    struct http_server *http; /* NULL: off */
    uv_signal_t terminate, interrupt;
    struct log_signals log_signals;
};

static void daemon_on_server_closed(void *arg)
{
    struct daemon *daemon = arg;

    loop_uv_stop(daemon->loop);
}

static void daemon_on_http_closed(void *arg)
{
    struct daemon *daemon = arg;

    master_server_close(daemon->server, daemon_on_server_closed, daemon);
}

static void daemon_on_signal(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;

    log_info("master", "stopping: %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
    uv_close((uv_handle_t *)&daemon->terminate, NULL);
    uv_close((uv_handle_t *)&daemon->interrupt, NULL);
    log_signals_stop(&daemon->log_signals);
    if (daemon->http != NULL)
        http_server_close(daemon->http, daemon_on_http_closed, daemon);
    else
        daemon_on_http_closed(daemon);
}

static int daemon_watch_signals(struct daemon *daemon, const struct master_conf *conf)
{
    struct uv_loop_s *uv = loop_uv_handle(daemon->loop);
    uv_signal_t *handles[] = {&daemon->terminate, &daemon->interrupt};
    int numbers[] = {SIGTERM, SIGINT};

    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        int rc = uv_signal_init(uv, handles[i]);
        if (rc == 0) {
            handles[i]->data = daemon;
            rc = uv_signal_start(handles[i], daemon_on_signal, numbers[i]);
        }
        if (rc != 0)
            return err_from_errno(-rc);
    }
    return log_signals_start(&daemon->log_signals, daemon->loop, conf->log_level);
}

static struct master_options options_of(const struct master_conf *conf)
{
    return (struct master_options){.heartbeat_interval_ms = conf->heartbeat_interval_ms,
                                   .lost_after_ms = conf->worker_lost_after_ms,
                                   .ready_after_ms = conf->ready_after_ms,
                                   .forget_after_ms = conf->worker_forget_after_ms,
                                   .max_workers = conf->assign_max_workers,
                                   .blocks_per_worker = conf->assign_blocks_per_worker,
                                   .lease_ms = conf->lease_default_ms};
}

static int daemon_open_http(struct daemon *daemon, const struct master_conf *conf)
{
    struct http_options options = {.loop = daemon->loop,
                                   .listen = {.port = conf->http_port},
                                   .pages = master_pages,
                                   .n_pages = MASTER_PAGES,
                                   .owner = daemon->server};
    int rc;

    if (!conf->http_enabled)
        return 0;
    snprintf(options.listen.host, sizeof options.listen.host, "%s", conf->http_host);
    rc = http_server_open(&options, &daemon->http);
    if (rc != 0)
        log_error("master", "cannot listen for HTTP on %s:%u: %s%s", options.listen.host,
                  options.listen.port, overhand_strerror(rc),
                  rc == OVERHAND_E_EXISTS ? "; another process has this port, choose one with "
                                            "http.port, or set http.enabled to off"
                                          : "");
    return rc;
}

static void daemon_say_serving(const struct daemon *daemon, const struct address *listen,
                               const struct master_options *options)
{
    char text[ADDRESS_TEXT_BYTES];

    printf("serving %s, ready in %u ms", address_format(listen, text), options->ready_after_ms);
    if (daemon->http != NULL)
        printf(", http=%u", http_server_port(daemon->http));
    printf("\n");
    fflush(stdout);
}

static int daemon_run(const struct master_conf *conf)
{
    struct master_options options = options_of(conf);
    struct address listen = {.port = conf->listen_port};
    struct daemon daemon = {0};
    struct rng rng;
    struct net *net;
    int rc = loop_uv_new(&daemon.loop);

    machine_raise_file_limit();
    if (rc != 0) {
        log_error("master", "cannot make an event loop: %s", overhand_strerror(rc));
        return 1;
    }
    snprintf(listen.host, sizeof listen.host, "%s", conf->listen_host);
    net = net_uv_new(daemon.loop);
    rng_init_system(&rng);
    rc = master_server_open(net, &listen, &options, rng_next(&rng), &daemon.server);
    if (rc != 0) {
        log_error("master", "cannot listen on %s:%u: %s%s", listen.host, listen.port,
                  overhand_strerror(rc),
                  rc == OVERHAND_E_EXISTS
                      ? "; another process has this port, choose one with listen.port"
                      : "");
    } else if ((rc = daemon_watch_signals(&daemon, conf)) != 0) {
        log_error("master", "cannot watch signals: %s", overhand_strerror(rc));
    } else if ((rc = daemon_open_http(&daemon, conf)) == 0) {
        listen.port = master_server_port(daemon.server);
        daemon_say_serving(&daemon, &listen, &options);
        loop_uv_run(daemon.loop);
    }
    if (rc != 0)
        return 1; /* the process ends: the system takes back what is open */
    net_uv_free(net);
    loop_uv_free(daemon.loop);
    return 0;
}

int main(int argc, char **argv)
{
    struct master_conf conf;
    int rc = conf_load(&master_conf_table, argc, argv, &conf);

    if (rc == CONF_DONE)
        return 0;
    if (rc != CONF_RUN)
        return 2;
    log_set_level(conf.log_level);
    log_set_format(conf.log_format);
    rc = daemon_run(&conf);
    conf_target_fini(&master_conf_table, &conf);
    return rc;
}
