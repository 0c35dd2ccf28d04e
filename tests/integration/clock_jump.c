/* For LD_PRELOAD: a wall clock that nobody can trust. Every look at it says another year, back and
 * forth; the monotonic clocks are as they are. */
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { YEAR_SECONDS = 365 * 24 * 3600, YEARS = 7 };

/* A jump of up to YEARS forward or back. */
static time_t clock_jump(void)
{
    static atomic_int n_looks;

    return (time_t)(atomic_fetch_add(&n_looks, 5) % (2 * YEARS + 1) - YEARS) * YEAR_SECONDS;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    int rc = (int)syscall(SYS_clock_gettime, clock_id, tp);

    if (rc == 0 && (clock_id == CLOCK_REALTIME || clock_id == CLOCK_REALTIME_COARSE))
        tp->tv_sec += clock_jump();
    return rc;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *tv, void *tz)
{
    struct timespec exact;
    int rc = clock_gettime(CLOCK_REALTIME, &exact);

    (void)tz;
    *tv = (struct timeval){.tv_sec = exact.tv_sec, .tv_usec = exact.tv_nsec / 1000};
    return rc;
}

__attribute__((visibility("default"))) time_t time(time_t *timer)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (timer != NULL)
        *timer = now.tv_sec;
    return now.tv_sec;
}
