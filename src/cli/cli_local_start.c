/* Where a local cluster's things are, and the command lines of its processes. */
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli_local.h"
#include "core/machine.h"
#include "core/mem.h"

enum {
    LOCAL_ARGS_MAX = 64,
    LOCAL_SHARD_BYTES = 8 << 20, /* the least that a worker takes */
    LOCAL_SAY_TIMEOUT_MS = 30000,
};

int cli_local_check_sets(const struct cli_args *args)
{
    if (args->n_sets > LOCAL_ARGS_MAX / 2) {
        fprintf(stderr, "overhand local: at most %d times --set\n", LOCAL_ARGS_MAX / 2);
        return CLI_USAGE;
    }
    for (unsigned i = 0; i < args->n_sets; i++) {
        const char *set = args->sets[i];
        if ((strncmp(set, "worker.", 7) == 0 || strncmp(set, "master.", 7) == 0) &&
            strchr(set, '=') != NULL)
            continue;
        fprintf(stderr, "overhand local: --set %s: expected worker.KEY=VALUE or master.KEY=VALUE\n",
                set);
        return CLI_USAGE;
    }
    return CLI_OK;
}

int cli_local_find_programs(struct cli_local *local)
{
    ssize_t len = readlink("/proc/self/exe", local->bin_dir, sizeof local->bin_dir - 1);

    if (len < 0) {
        fprintf(stderr, "overhand local: cannot find my own program: %s\n", strerror(errno));
        return CLI_PROBLEM;
    }
    local->bin_dir[len] = '\0';
    *strrchr(local->bin_dir, '/') = '\0';
    return CLI_OK;
}

int cli_local_make_dir(struct cli_local *local)
{
    const char *tmp = getenv("TMPDIR");
    bool made;

    local->dir_is_ours = local->args->dir == NULL;
    if (local->dir_is_ours) {
        local->dir = mem_printf("%s/overhand-XXXXXX", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
        made = mkdtemp(local->dir) != NULL;
        local->dir_is_ours = made;
    } else {
        local->dir = mem_strdup(local->args->dir);
        made = mkdir(local->dir, 0700) == 0 || errno == EEXIST;
    }
    if (made)
        return CLI_OK;
    fprintf(stderr, "overhand local: cannot make the directory %s: %s\n", local->dir,
            strerror(errno));
    return CLI_PROBLEM;
}

static int local_remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    if (remove(path) != 0)
        fprintf(stderr, "overhand local: cannot remove %s: %s\n", path, strerror(errno));
    return 0;
}

void cli_local_remove_dir(struct cli_local *local)
{
    if (local->dir_is_ours)
        nftw(local->dir, local_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mem_free(local->dir);
}

/* ---- starting ---- */

struct local_argv {
    char *items[LOCAL_ARGS_MAX + 1]; /* owned */
    unsigned n;
};

/* Add an argument. Owns: takes `text`. */
static void local_argv_add(struct local_argv *argv, char *text)
{
    ASSERT(argv->n < LOCAL_ARGS_MAX);
    argv->items[argv->n++] = text;
    argv->items[argv->n] = NULL;
}

/* Add the --set of the command line that are for `who`. */
static void local_argv_add_sets(struct local_argv *argv, const struct cli_args *args,
                                const char *who)
{
    size_t len = strlen(who);

    for (unsigned i = 0; i < args->n_sets; i++)
        if (strncmp(args->sets[i], who, len) == 0 && args->sets[i][len] == '.')
            local_argv_add(argv, mem_printf("--set=%s", args->sets[i] + len + 1));
}

/* Start a program beside ours; `argv` is used up. `output` as for cli_child_start. */
static int local_start(struct cli_local *local, const char *name, struct local_argv *argv,
                       int *output)
{
    struct cli_child *child = &local->children[local->n_children];
    int rc = cli_child_start(child, name, argv->items, output);

    if (rc == 0)
        local->n_children++;
    else
        fprintf(stderr, "overhand local: cannot start %s: %s\n", argv->items[0],
                overhand_strerror(rc));
    while (argv->n > 0)
        mem_free(argv->items[--argv->n]);
    return rc == 0 ? CLI_OK : CLI_PROBLEM;
}

/* Read the first line that a child says. Returns: false when it says none in time. */
static bool local_read_line(int output, char *line, size_t size)
{
    struct pollfd ready = {.fd = output, .events = POLLIN};
    size_t len = 0;

    while (len + 1 < size) {
        int rc = poll(&ready, 1, LOCAL_SAY_TIMEOUT_MS);
        ssize_t n = rc > 0 ? read(output, line + len, 1) : rc;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false; /* time is up, or the child has ended */
        if (line[len] == '\n')
            break;
        len++;
    }
    line[len] = '\0';
    return true;
}

/* The master takes a free port and says which. */
static int local_start_master(struct cli_local *local)
{
    struct local_argv argv = {.n = 0};
    char line[ADDRESS_TEXT_BYTES + 64], address[ADDRESS_TEXT_BYTES];
    int output, exit_code;
    bool said;

    local_argv_add(&argv, mem_printf("%s/overhand-master", local->bin_dir));
    local_argv_add(&argv, mem_strdup("--host=127.0.0.1"));
    local_argv_add(&argv, mem_strdup("--port=0"));
    local_argv_add(&argv, mem_strdup("--http-port=0"));
    local_argv_add(&argv, mem_strdup("--log-level=warn"));
    local_argv_add(&argv,
                   mem_strdup("--set=ready_after=0")); /* we wait for all workers ourselves */
    local_argv_add_sets(&argv, local->args, "master");
    exit_code = local_start(local, "master", &argv, &output);
    if (exit_code != CLI_OK)
        return exit_code;
    said = local_read_line(output, line, sizeof line) &&
           sscanf(line, "serving %264[^,], ready in %*u ms, http=%u", address, &local->http_port) >=
               1 &&
           address_parse(address, 0, &local->master) == 0;
    close(output);
    if (!said)
        fputs("overhand local: the master does not say at which port it serves\n", stderr);
    return said ? CLI_OK : CLI_PROBLEM;
}

static unsigned local_n_workers(const struct cli_args *args)
{
    return args->n_workers != 0 ? (unsigned)args->n_workers : 1;
}

static int local_start_worker(struct cli_local *local, unsigned index)
{
    const struct cli_args *args = local->args;
    unsigned n_workers = local_n_workers(args);
    uint64_t n_shards = args->n_shards, memory_bytes = args->memory_bytes;
    struct local_argv argv = {.n = 0};
    char name[32], masters[ADDRESS_TEXT_BYTES];

    if (n_shards == 0)
        n_shards = (machine_cores() + n_workers - 1) / n_workers;
    if (memory_bytes == 0)
        memory_bytes = machine_memory_bytes() / 4 / n_workers;
    if (args->memory_bytes == 0 && memory_bytes < n_shards * LOCAL_SHARD_BYTES)
        memory_bytes = n_shards * LOCAL_SHARD_BYTES;
    snprintf(name, sizeof name, "worker-%u", index);
    local_argv_add(&argv, mem_printf("%s/overhand-worker", local->bin_dir));
    local_argv_add(&argv, mem_printf("--id=%s", name));
    /* an address each: two copies want two hosts */
    local_argv_add(&argv, mem_printf("--host=127.0.0.%u", 1 + index));
    local_argv_add(&argv, mem_strdup("--port=0"));
    local_argv_add(&argv, mem_printf("--masters=%s", address_format(&local->master, masters)));
    local_argv_add(&argv, mem_printf("--dir=%s/%s", local->dir, name));
    local_argv_add(&argv, mem_printf("--memory=%llu", (unsigned long long)memory_bytes));
    local_argv_add(&argv, mem_printf("--shards=%llu", (unsigned long long)n_shards));
    local_argv_add(&argv, mem_strdup("--http-port=0"));
    local_argv_add(&argv, mem_strdup("--log-level=warn"));
    local_argv_add_sets(&argv, args, "worker");
    return local_start(local, name, &argv, NULL);
}

int cli_local_start_all(struct cli_local *local)
{
    int exit_code = local_start_master(local);

    for (unsigned i = 0; i < local_n_workers(local->args) && exit_code == CLI_OK; i++)
        exit_code = local_start_worker(local, i);
    return exit_code;
}
