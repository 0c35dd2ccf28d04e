/* Whether a PUSH may be taken. For push.c. */
#ifndef WORKER_PUSH_CHECK_H
#define WORKER_PUSH_CHECK_H

#include "worker/session.h"

/* What becomes of the push's body. */
enum store_body_kind push_body_kind(const struct session *session,
                                    const Overhand__Wire__Push *header);
/* What is wrong with the header by itself, for this session; what and where goes into `text`.
 * Returns: 0, OVERHAND_E_PROTOCOL, OVERHAND_E_INVALID, OVERHAND_E_TOO_BIG. */
MUST_CHECK int push_check(const struct session *session, const Overhand__Wire__Push *header,
                          const struct frame *request, char text[LIMIT_TEXT_BYTES]);
/* May this session push to this worker now? What is against it goes into `text`.
 * Returns: 0, or what apps_check or store_accepts say, or OVERHAND_E_INCARNATION. */
MUST_CHECK int push_admit(const struct session *session, const Overhand__Wire__Push *header,
                          char text[LIMIT_TEXT_BYTES]);
/* Which of the push's partitions are full here? Room for all of them is needed. Returns: their
 * number. */
size_t push_full_partitions(const struct session *session, const Overhand__Wire__Push *header,
                            uint32_t *partitions);

#endif
