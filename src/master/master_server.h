/* The master as peers see it: connections, who may call what, and the answers of master.h. Runs on any loop and net. */
#ifndef MASTER_MASTER_SERVER_H
#define MASTER_MASTER_SERVER_H

#include "master/master.h"
#include "net/net.h"

struct master_server;

typedef void (*master_server_close_cb)(void *arg);

/* Listen and serve. Owns: *server is the caller's, master_server_close. Returns: 0, or why net_listen refused. */
MUST_CHECK int master_server_open(struct net *net, const struct address *listen,
                                  const struct master_options *options, uint64_t seed,
                                  struct master_server **server);
/* The bound port. */
uint16_t master_server_port(const struct master_server *server);
/* Close listener and connections, free, then call back. */
void master_server_close(struct master_server *server, master_server_close_cb closed, void *arg);

#endif
