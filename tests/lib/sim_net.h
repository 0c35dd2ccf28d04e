/* The simulated network: byte streams between named hosts on one sim_loop, behind net/net.h.
 *
 * A host is a name; `address.host` of a connect is that name ("localhost" and "127.0.0.1" mean the
 * caller itself). Bytes travel in segments of random size, in order, each delayed by the latency;
 * a direction holds a bounded number of bytes, so that writers feel a reader that does not read.
 * A side that closes before it has read everything resets the connection, as TCP does. Everything
 * random comes from the seed. One thread. */
#ifndef TESTS_LIB_SIM_NET_H
#define TESTS_LIB_SIM_NET_H

#include "net/net.h"
#include "sim_loop.h"

struct sim_net;

/* A network without hosts. Latency 0-1 ms, segments up to 16 KiB, 64 KiB per direction.
 * Owns: the caller, sim_net_free. */
struct sim_net *sim_net_new(struct sim_loop *loop, uint64_t seed);
/* Free it and its hosts; all streams and listeners must have been closed. */
void sim_net_free(struct sim_net *sim);
/* The network as seen from a host, made at the first call. Owns: the network. */
struct net *sim_net_host(struct sim_net *sim, const char *name);

/* Let a name, which is none of a host, be looked up as these hosts ("a,b"; NULL: as none; "": look-ups
 * are not answered) from now on. Owns: both are borrowed as long as the network lives. */
void sim_net_set_name(struct sim_net *sim, const char *name, const char *hosts);

/* Delay of what is sent from now on: uniform in [min_ms, max_ms]. */
void sim_net_set_latency(struct sim_net *sim, uint32_t min_ms, uint32_t max_ms);
/* Segments have 1 to `max_bytes` bytes from now on. */
void sim_net_set_segment(struct sim_net *sim, size_t max_bytes);
/* Bytes that a direction of a stream holds, under way and not yet read. */
void sim_net_set_buffer(struct sim_net *sim, size_t bytes);

/* Cut the link between two hosts: nothing arrives any more and nobody is told; connects time out.
 * After 10 s of it the streams break with OVERHAND_E_TIMEOUT, on both sides. */
void sim_net_cut(struct sim_net *sim, const char *a, const char *b);
/* Mend it: what was under way arrives after all (TCP sends it again). */
void sim_net_heal(struct sim_net *sim, const char *a, const char *b);
/* Let no more than bytes_per_ms pass in each direction of a stream between them; 0: no limit. */
void sim_net_slow(struct sim_net *sim, const char *a, const char *b, uint32_t bytes_per_ms);
/* Break all connections between two hosts at once: both ends see OVERHAND_E_DISCONNECTED. */
void sim_net_reset(struct sim_net *sim, const char *a, const char *b);
/* Refuse new connections to a host, or no longer: its process is not running. */
void sim_net_refuse(struct sim_net *sim, const char *host, bool refuse);
/* A host's process is gone, or there again: its connections break on both sides at once, what was
 * under way is lost, and nobody reaches it nor it anybody. Its own code may go on, and ends by
 * itself. */
void sim_net_down(struct sim_net *sim, const char *name, bool down);
/* Break one connection: both ends see OVERHAND_E_DISCONNECTED. */
void sim_net_reset_stream(struct net_stream *stream);

/* What can fail by number: a connect is refused; a write, or the delivery of some bytes, breaks its
 * connection on both sides instead. */
enum sim_net_event { SIM_NET_CONNECT, SIM_NET_WRITE, SIM_NET_DELIVERY, SIM_NET_EVENTS };
/* The nth event of a kind from now (0 = the next) fails; with `forever` all from there on, too. */
void sim_net_fail(struct sim_net *sim, enum sim_net_event event, uint64_t nth, bool forever);
/* No event fails any more. */
void sim_net_fail_none(struct sim_net *sim);
/* Events of a kind so far. */
uint64_t sim_net_n_events(const struct sim_net *sim, enum sim_net_event event);

/* Streams that have not been closed. */
unsigned sim_net_n_streams(const struct sim_net *sim);
/* Bytes delivered to readers, and calls of net_write, so far. */
uint64_t sim_net_delivered_bytes(const struct sim_net *sim);
uint64_t sim_net_n_writes(const struct sim_net *sim);

#endif
