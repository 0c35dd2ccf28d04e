/* overhand-torture: a cluster of real processes, applications that shuffle through it, faults by a seeded
 * schedule, and an oracle that judges every record.
 *
 *   options -> schedule, printed -> daemons and relays -> applications on threads
 *     -> this thread breaks and repairs until the time is over and the applications have ended
 *     -> daemons end -> counts and the verdict
 *
 * What decides, besides wrong = 0: each failure lies within a trouble or its aftermath, everything ends
 * when the troubles are over, no daemon ends, complains or grows unless it was told to.
 *
 * The seed repeats shapes, tasks and faults; what meets what is up to the machine. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "core/mem.h"
#include "director.h"

enum { FINISH_SECONDS = 240 }; /* beyond its time, then the run hangs */

struct run {
    struct torture torture;
    struct schedule schedule;
    struct crew crew;
    struct director director;
    struct app apps[OPTIONS_APPS_MAX];
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    unsigned n_running; /* applications; under the mutex */
};

static struct run run;

/* ---- the end ---- */

static void run_print_verdict(void)
{
    struct options *options = &run.torture.options;
    bool good = report_good(&run.torture.report);
    char command[512];

    report_print(&run.torture.report, false);
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        if (options->faults[kind])
            printf("  faults: %-16s %llu\n", fault_name((enum fault_kind)kind),
                   (unsigned long long)run.director.n_done[kind]);
    }
    for (unsigned i = 0; i < options->n_workers; i++)
        printf("  memory of w%u at most     %llu MiB, of %llu MiB allowed\n", i,
               (unsigned long long)run.crew.workers[i].peak_bytes >> 20,
               (unsigned long long)run.crew.memory_max_bytes >> 20);
    if (options->json)
        report_print(&run.torture.report, true);
    options_command(options, command, sizeof command);
    if (good)
        printf("PASS seed=%llu: %s\n", (unsigned long long)options->seed, command);
    else
        printf("FAIL seed=%llu, logs in %s, again with: %s\n", (unsigned long long)options->seed,
               run.crew.dir, command);
}

/* It does not end: say who does what, and leave. */
static _Noreturn void run_give_up(void)
{
    for (unsigned i = 0; i < run.torture.options.n_apps; i++)
        report_say(&run.torture.report, "app %u: %s", i, run.apps[i].doing);
    report_fail(&run.torture.report, COUNT_UNEXCUSED, "the run does not end");
    run_print_verdict();
    fflush(NULL);
    _exit(1); /* daemons end with us */
}

static void run_on_app_finished(struct app *app)
{
    pthread_mutex_lock(&run.mutex);
    run.n_running--;
    pthread_cond_signal(&run.cond);
    pthread_mutex_unlock(&run.mutex);
}

/* ---- the course ---- */

/* Wait for the end of the applications, at most until `until_ms`. Returns: how many still run. */
static unsigned run_wait(uint64_t until_ms)
{
    uint64_t at_ms = run.torture.report.start_ms + until_ms;
    struct timespec at = {.tv_sec = (time_t)(at_ms / 1000),
                          .tv_nsec = (long)(at_ms % 1000) * 1000000};
    unsigned n_running;

    pthread_mutex_lock(&run.mutex);
    if (run.n_running > 0)
        (void)pthread_cond_timedwait(&run.cond, &run.mutex, &at);
    n_running = run.n_running;
    pthread_mutex_unlock(&run.mutex);
    return n_running;
}

static void run_print_schedule(void)
{
    char text[128];

    for (unsigned i = 0; i < run.schedule.n_faults; i++) {
        const struct fault *fault = &run.schedule.faults[i];

        printf("  plan: t=%llu.%03llus %s\n", (unsigned long long)fault->at_ms / 1000,
               (unsigned long long)fault->at_ms % 1000, fault_text(fault, text, sizeof text));
    }
}

static void run_init(void)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&run.cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&run.mutex, NULL);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

static void run_start_apps(void)
{
    struct torture *torture = &run.torture;
    char *log = mem_printf("%s/client.log", run.crew.dir);

    torture->client_log = fopen(log, "w");
    ASSERT(torture->client_log != NULL);
    mem_free(log);
    torture->masters = run.crew.masters_text;
    torture->end_ms = torture->options.seconds * 1000;
    run.n_running = (unsigned)torture->options.n_apps;
    for (unsigned i = 0; i < torture->options.n_apps; i++)
        app_start(&run.apps[i], torture, i, run_on_app_finished);
}

static void run_all(void)
{
    struct torture *torture = &run.torture;
    uint64_t give_up_ms = (torture->options.seconds + FINISH_SECONDS) * 1000;

    run_start_apps();
    while (run_wait(director_turn(&run.director)) > 0) {
        if (report_now_ms(&torture->report) > give_up_ms)
            run_give_up();
    }
    for (unsigned i = 0; i < torture->options.n_apps; i++)
        app_join(&run.apps[i]);
    report_say(&torture->report, "the applications have ended");
    crew_end(&run.crew);
    fclose(torture->client_log);
}

static int run_main(void)
{
    struct torture *torture = &run.torture;
    const struct options *options = &torture->options;
    char command[512];
    bool good;
    int rc;

    printf("%s\n", options_command(options, command, sizeof command));
    schedule_init(&run.schedule, options);
    run_print_schedule();
    report_init(&torture->report);
    rc = crew_init(&run.crew, options, &torture->report);
    if (rc != 0) {
        crew_fini(&run.crew, true);
        return 2;
    }
    report_init(&torture->report); /* times count from here */
    troubles_init(&torture->troubles, (unsigned)options->n_workers, (unsigned)options->replicas);
    director_init(&run.director, &run.schedule, &run.crew, &torture->troubles, &torture->report);
    run_all();
    run_print_verdict();
    good = report_good(&torture->report);
    director_fini(&run.director);
    troubles_fini(&torture->troubles);
    schedule_fini(&run.schedule);
    crew_fini(&run.crew, !good);
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    int rc = options_parse(&run.torture.options, argc, argv);

    if (rc != 0)
        return rc == 1 ? 0 : 2;
    run_init();
    return run_main();
}
