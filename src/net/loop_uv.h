/* The event loop on libuv: one per thread. */
#ifndef NET_LOOP_UV_H
#define NET_LOOP_UV_H

#include "net/loop.h"

struct uv_loop_s;

/* A new loop. Owns: the caller, loop_uv_free. Returns: 0 or what the system said (out of
 * descriptors ...). */
MUST_CHECK int loop_uv_new(struct loop **loop);
/* Run until loop_uv_stop. The calling thread becomes the loop's thread. */
void loop_uv_run(struct loop *loop);
/* Make loop_uv_run return after this turn. Thread: any. */
void loop_uv_stop(struct loop *loop);
/* Free a loop that is not running; runs closing callbacks that are left. Everything on it must
 * have been closed. */
void loop_uv_free(struct loop *loop);
/* libuv's handle, for net_uv.c. */
struct uv_loop_s *loop_uv_handle(struct loop *loop);

#endif
