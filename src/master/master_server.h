/* The master as peers see it: connections, who may call what, and the answers of master.h. Runs on any loop and net. */
#ifndef MASTER_MASTER_SERVER_H
#define MASTER_MASTER_SERVER_H

#include "master/history.h"
#include "master/master.h"
#include "net/net.h"

struct master_server;

typedef void (*master_server_close_cb)(void *arg);

/* What it was asked, for metrics. */
struct master_stats {
    uint64_t n_heartbeats, n_registrations;
    uint64_t n_assignments[ERR_CODES]; /* answered, by err_index of the code */
    uint64_t n_stand_ins[ERR_CODES];   /* likewise */
};

/* Listen and serve. Owns: *server is the caller's, master_server_close. Returns: 0, or why net_listen refused. */
MUST_CHECK int master_server_open(struct net *net, const struct address *listen,
                                  const struct master_options *options, uint64_t seed,
                                  struct master_server **server);
/* The bound port. */
uint16_t master_server_port(const struct master_server *server);
/* What it knows, for pages; borrowed until the server is closed. */
const struct master *master_server_master(const struct master_server *server);
/* What it was asked so far. Borrowed likewise. */
const struct master_stats *master_server_stats(const struct master_server *server);
/* The time by which master_server_master counts. */
uint64_t master_server_now_ms(const struct master_server *server);
/* What its workers moved lately. Borrowed likewise. */
const struct history *master_server_history(const struct master_server *server);
/* The network it was opened with. */
struct net *master_server_net(const struct master_server *server);
/* Open connections. */
unsigned master_server_n_sessions(const struct master_server *server);
/* Close listener and connections, free, then call back. */
void master_server_close(struct master_server *server, master_server_close_cb closed, void *arg);

#endif
