/* overhand_sim: simulated clusters, one per seed, judged by the record oracle.
 *
 *   overhand_sim [--seeds A-B | --seed S | --hours N] [--verbose]
 *
 * Seeds run in child processes, some in each: so that one which crashes, hangs or leaks is named
 * and the others go on. The seeds that once found a bug run first. Of every so many seeds one is
 * run twice, and both runs must be equal. Exits with 1 when a seed failed, with 2 for bad
 * arguments. */
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
    SEEDS_PER_CHILD = 20,
    TWICE_ONE_IN = 25,
    SEED_SECONDS_MAX = 100,
    FAILED_MAX = 20
};

/* Seeds that found a bug, and what it was; the last entry ends the list. */
static const struct {
    uint64_t seed;
    const char *bug;
} found[] = {
    {0, NULL},
};

/* What children tell their parent. */
struct shared {
    uint64_t seed; /* the one that runs */
    uint64_t n_seeds, n_twice;
    struct world_counts sum;
};

struct options {
    uint64_t first, last;
    double hours;
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
}

/* ---- the child ---- */

/* A hang ends the child: it may use so much of a processor, however busy the machine is. */
static void limit_seconds(unsigned seconds)
{
    struct itimerval limit = {.it_value.tv_sec = seconds};
    int rc = setitimer(ITIMER_PROF, &limit, NULL);

    ASSERT(rc == 0);
}

static void run_seed(struct shared *shared, uint64_t seed, bool verbose)
{
    struct world_counts counts;

    shared->seed = seed;
    limit_seconds(SEED_SECONDS_MAX);
    uint64_t hash = world_run(seed, verbose, &counts);
    counts_add(&shared->sum, &counts);
    shared->n_seeds++;
    if (seed % TWICE_ONE_IN != 0)
        return;
    if (world_run(seed, false, &counts) != hash) {
        printf("---- seed %" PRIu64 " failed ----\ntwo runs of it differ\n", seed);
        fflush(stdout);
        _exit(SIM_EXIT_FAILED);
    }
    shared->n_twice++;
}

/* ---- the parent ---- */

/* Run a child over the seeds [first, last]. Returns: the seed to go on with. */
static uint64_t run_child(struct shared *shared, uint64_t first, uint64_t last, bool verbose,
                          unsigned *n_failed)
{
    int status;
    pid_t pid;

    fflush(stdout);
    shared->seed = first;
    pid = fork();
    if (pid < 0) {
        perror("overhand_sim: fork");
        exit(1);
    }
    if (pid == 0) {
        for (uint64_t seed = first; seed <= last; seed++)
            run_seed(shared, seed, verbose);
        exit(0);
    }
    if (waitpid(pid, &status, 0) != pid) {
        perror("overhand_sim: waitpid");
        exit(1);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return last + 1;
    ++*n_failed;
    if (WIFSIGNALED(status) || WEXITSTATUS(status) != SIM_EXIT_FAILED)
        printf("---- seed %" PRIu64 " failed: the process ended with %s %d ----\n"
               "replay: ./dev sim --seed %" PRIu64 " --verbose\n",
               shared->seed, WIFSIGNALED(status) ? "signal" : "status",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), shared->seed);
    return shared->seed + 1;
}

static void run_range(struct shared *shared, const struct options *options, uint64_t first,
                      uint64_t last, unsigned *n_failed)
{
    time_t end = time(NULL) + (time_t)(options->hours * 3600);

    while (first <= last && *n_failed < FAILED_MAX) {
        uint64_t to = last - first < SEEDS_PER_CHILD ? last : first + SEEDS_PER_CHILD - 1;

        if (options->hours > 0 && time(NULL) >= end)
            return;
        first = run_child(shared, first, to, options->verbose, n_failed);
    }
}

static void print_sum(const struct shared *shared, unsigned n_failed)
{
    const struct world_counts *sum = &shared->sum;

    printf("%" PRIu64 " seeds, %" PRIu64 " of them twice, %u failed: %" PRIu64 " faults, %" PRIu64
           " map attempts (%" PRIu64 " failed), %" PRIu64 " reads (%" PRIu64 " failed), %" PRIu64
           " records checked, %" PRIu64 " turns, %.1f virtual hours\n",
           shared->n_seeds, shared->n_twice, n_failed, sum->n_strikes, sum->n_attempts,
           sum->n_attempts_failed, sum->n_reads, sum->n_reads_failed, sum->n_records, sum->n_turns,
           (double)sum->virtual_ms / 3600000);
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
        options->one = true;
        return parse_number(value, "", &options->first, &rest);
    }
    if (strcmp(name, "--seeds") == 0)
        return parse_number(value, "-", &options->first, &rest) && *rest == '-' &&
               parse_number(rest + 1, "", &options->last, &rest) && options->first <= options->last;
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
    unsigned n_failed = 0;
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (!parse(&options, argc, argv)) {
        fprintf(stderr, "usage: overhand_sim [--seeds A-B | --seed S | --hours N] [--verbose]\n");
        return 2;
    }
    ASSERT(shared != MAP_FAILED);
    if (options.one) {
        run_range(shared, &options, options.first, options.first, &n_failed);
    } else {
        for (size_t i = 0; found[i].bug != NULL; i++)
            run_range(shared, &options, found[i].seed, found[i].seed, &n_failed);
        run_range(shared, &options, options.first, options.last, &n_failed);
    }
    print_sum(shared, n_failed);
    return n_failed > 0 ? 1 : 0;
}
