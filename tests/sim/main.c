/* overhand_sim: simulated clusters, one per seed, judged by the record oracle.
 *
 *   overhand_sim [--seeds A-B | --seed S | --hours N] [--drains often|none] [--verbose]
 *
 * Workers leave in some of the seeds; with --drains in each of them, or in none.
 *
 * Each seed runs in a process of its own: so that one which crashes, hangs or leaks is named and
 * the others go on. The seeds that once found a bug run first. Of every so many seeds one is run
 * twice, and both runs must be equal. Exits with 1 when a seed failed, or when of many seeds none has
 * drained a worker; with 2 for bad arguments. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "world.h"

enum {
    SEEDS = 500,

    TWICE_ONE_IN = 25,
    SEED_SECONDS_MAX = 100,
    DRAINS_SEEDS = 100, /* among so many some worker drains */
    FAILED_MAX = 20
};

/* Seeds that found a bug, and what it was; the last entry ends the list. */
static const struct {
    uint64_t seed;
    enum sim_drains drains;
    const char *bug;
} found[] = {
    {1441, SIM_DRAINS_NONE,
     "a process that was frozen for 10 s took its disks for hanging, until the restart"},
    {4195, SIM_DRAINS_NONE,
     "a worker ended behind its last ack to a writer, which did not look and won"},
    {417, SIM_DRAINS_OFTEN,
     "a drain waited for data of an application that had ended and that others refused"},
    {0, SIM_DRAINS_NONE, NULL},
};

/* What a child tells its parent. */
struct shared {
    uint64_t hash;
    struct world_counts counts;
};

/* Of all seeds that ran. */
struct sum {
    uint64_t n_seeds, n_twice, n_failed;
    struct world_counts counts;
};

struct options {
    uint64_t first, last;
    double hours;
    enum sim_drains drains;
    bool verbose, one;
};

static void counts_add(struct world_counts *sum, const struct world_counts *counts)
{
    sum->n_attempts += counts->n_attempts;
    sum->n_attempts_failed += counts->n_attempts_failed;
    sum->n_reads += counts->n_reads;
    sum->n_reads_failed += counts->n_reads_failed;
    sum->n_records += counts->n_records;
    sum->n_strikes += counts->n_strikes;
    sum->n_turns += counts->n_turns;
    sum->virtual_ms += counts->virtual_ms;
    sum->leaves.n_begun += counts->leaves.n_begun;
    sum->leaves.n_drained += counts->leaves.n_drained;
    sum->leaves.n_left += counts->leaves.n_left;
    sum->leaves.n_undone += counts->leaves.n_undone;
    sum->leaves.n_broken += counts->leaves.n_broken;
    sum->leaves.n_companions += counts->leaves.n_companions;
    sum->leaves.moved_bytes += counts->leaves.moved_bytes;
}

/* A hang ends the child: it may use so much of a processor, however busy the machine is. */
static void limit_seconds(unsigned seconds)
{
    struct itimerval limit = {.it_value.tv_sec = seconds};
    int rc = setitimer(ITIMER_PROF, &limit, NULL);

    ASSERT(rc == 0);
}

/* Run a seed in a process of its own: what the code counts for a whole process begins at 0, as in a
 * replay. Returns: false when it failed, which has been told. */
static bool run_seed(struct shared *shared, const struct world_options *options)
{
    int status;

    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        perror("overhand_sim: fork");
        exit(1);
    }
    if (pid == 0) {
        limit_seconds(SEED_SECONDS_MAX);
        shared->hash = world_run(options, &shared->counts);
        exit(0); /* leaks are looked for */
    }
    if (waitpid(pid, &status, 0) != pid) {
        perror("overhand_sim: waitpid");
        exit(1);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFSIGNALED(status) || WEXITSTATUS(status) != SIM_EXIT_FAILED) {
        printf("---- seed %" PRIu64 " failed: the process ended with %s %d ----\n", options->seed,
               WIFSIGNALED(status) ? "signal" : "status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        sim_report_replay(options);
    }
    return false;
}

/* The same again, with the same events. */
static bool run_seed_again(struct shared *shared, struct world_options options)
{
    uint64_t hash = shared->hash;

    options.verbose = false;
    if (!run_seed(shared, &options))
        return false;
    if (shared->hash != hash)
        printf("---- seed %" PRIu64 " failed ----\ntwo runs of it differ\n", options.seed);
    return shared->hash == hash;
}

static void run_seeds(struct sum *sum, struct shared *shared, const struct options *options)
{
    time_t end = time(NULL) + (time_t)(options->hours * 3600);

    for (uint64_t seed = options->first; seed <= options->last; seed++) {
        if (sum->n_failed == FAILED_MAX || (options->hours > 0 && time(NULL) >= end))
            return;
        struct world_options one = {seed, options->drains, options->verbose};
        bool right = run_seed(shared, &one);

        if (right)
            counts_add(&sum->counts, &shared->counts);
        if (right && seed % TWICE_ONE_IN == 0) {
            right = run_seed_again(shared, one);
            sum->n_twice++;
        }
        sum->n_seeds++;
        sum->n_failed += !right;
    }
}

static void print_sum(const struct sum *sum)
{
    const struct world_counts *counts = &sum->counts;
    const struct sim_leave_counts *leaves = &counts->leaves;

    printf("%" PRIu64 " seeds, %" PRIu64 " of them twice, %" PRIu64 " failed: %" PRIu64
           " faults, %" PRIu64 " map attempts (%" PRIu64 " failed), %" PRIu64 " reads (%" PRIu64
           " failed), %" PRIu64 " records checked, %" PRIu64 " turns, %.1f virtual hours\n",
           sum->n_seeds, sum->n_twice, sum->n_failed, counts->n_strikes, counts->n_attempts,
           counts->n_attempts_failed, counts->n_reads, counts->n_reads_failed, counts->n_records,
           counts->n_turns, (double)counts->virtual_ms / 3600000);
    printf("drains: %" PRIu64 " begun, %" PRIu64 " completed with %" PRIu64 " bytes moved, %" PRIu64
           " workers left with their disks, %" PRIu64 " undone, %" PRIu64 " broken, %" PRIu64
           " faults aimed at them\n",
           leaves->n_begun, leaves->n_drained, leaves->moved_bytes, leaves->n_left,
           leaves->n_undone, leaves->n_broken, leaves->n_companions);
}

/* Many seeds, and not one worker that drained: the lane does not test what it should. */
static bool sum_lacks_drains(const struct sum *sum, const struct options *options)
{
    bool lacks = options->drains != SIM_DRAINS_NONE && sum->n_seeds >= DRAINS_SEEDS &&
                 (sum->counts.leaves.n_drained == 0 || sum->counts.leaves.n_left == 0);

    if (lacks)
        printf("no worker has drained and left\n");
    return lacks;
}

/* ---- arguments ---- */

static bool parse_number(const char *text, const char *ends, uint64_t *number, const char **rest)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *number = strtoull(text, &end, 10);
    *rest = end;
    return *end == '\0' || strchr(ends, *end) != NULL;
}

static bool parse_option(struct options *options, const char *name, const char *value)
{
    const char *rest;
    char *end;

    if (strcmp(name, "--seed") == 0) {
        options->one = parse_number(value, "", &options->first, &rest);
        options->last = options->first;
        return options->one;
    }
    if (strcmp(name, "--seeds") == 0)
        return parse_number(value, "-", &options->first, &rest) && *rest == '-' &&
               parse_number(rest + 1, "", &options->last, &rest) && options->first <= options->last;
    if (strcmp(name, "--drains") == 0) {
        options->drains = strcmp(value, "none") == 0 ? SIM_DRAINS_NONE : SIM_DRAINS_OFTEN;
        return options->drains == SIM_DRAINS_NONE || strcmp(value, "often") == 0;
    }
    if (strcmp(name, "--hours") == 0) {
        options->hours = strtod(value, &end);
        options->first = (uint64_t)time(NULL) * 1000; /* seeds that no run has seen */
        options->last = UINT64_MAX;
        return *end == '\0' && options->hours > 0;
    }
    return false;
}

static bool parse(struct options *options, int argc, char **argv)
{
    *options = (struct options){.first = 1, .last = SEEDS};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            options->verbose = true;
        else if (i + 1 == argc || !parse_option(options, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options;
    struct sum sum = {0};
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (!parse(&options, argc, argv)) {
        fprintf(stderr, "usage: overhand_sim [--seeds A-B | --seed S | --hours N] "
                        "[--drains often|none] [--verbose]\n");
        return 2;
    }
    ASSERT(shared != MAP_FAILED);
    for (size_t i = 0; found[i].bug != NULL && !options.one; i++) {
        struct options one = {
            .first = found[i].seed, .last = found[i].seed, .drains = found[i].drains};

        run_seeds(&sum, shared, &one);
    }
    run_seeds(&sum, shared, &options);
    print_sum(&sum);
    return sum.n_failed > 0 || sum_lacks_drains(&sum, &options) ? 1 : 0;
}
