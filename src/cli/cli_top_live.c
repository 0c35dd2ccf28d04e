/* `top`: the cluster live, from a master's lists.
 *
 *   every two seconds: LIST workers and shuffles -> the screen anew, until q, Ctrl-C or the end of the
 *   input
 *
 * When the master goes away, the others are tried; when none answers, that is the end. With --once, and where the output is no terminal,
 * it looks twice, two seconds apart, and prints once. */
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli_cluster.h"
#include "cli/cli_table.h"
#include "cli/cli_top.h"

enum { TOP_INTERVAL_MS = 2000 };

/* ---- the terminal ---- */

struct top_screen {
    const struct cli_args *args;
    FILE *out;
    struct cli_cluster cluster;
    struct cli_top top;
    struct loop_watch keys;
    struct termios former; /* of the terminal */
    bool quit;
};

enum { TOP_KEY_INTERRUPT = 3, TOP_KEY_END = 4 };

static void top_on_key(struct loop_watch *watch)
{
    struct top_screen *screen = container_of(watch, struct top_screen, keys);
    char key;

    if (read(STDIN_FILENO, &key, 1) == 1 && key != 'q' && key != 'Q' && key != TOP_KEY_INTERRUPT &&
        key != TOP_KEY_END)
        return;
    screen->quit = true;
    cli_rpc_wake(screen->cluster.rpc);
}

/* From now on keys come one by one, Ctrl-C among them, so that the terminal is always put back.
 * Returns: false when there is no terminal. */
static bool top_begin_keys(struct top_screen *screen)
{
    struct termios keys;

    if (isatty(STDOUT_FILENO) != 1 || tcgetattr(STDIN_FILENO, &screen->former) != 0)
        return false;
    keys = screen->former;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    return tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
}

static void top_end_keys(const struct top_screen *screen)
{
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &screen->former); /* it took the same before */
}

static unsigned top_lines(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

/* ---- looking ---- */

enum top_show { TOP_NOTHING, TOP_TEXT, TOP_SCREEN, TOP_JSON };

static void top_show(const struct top_screen *screen, enum top_show show,
                     const Overhand__Wire__ListReply *workers,
                     const Overhand__Wire__ListReply *shuffles)
{
    char text[ADDRESS_TEXT_BYTES];

    if (show == TOP_JSON)
        cli_json_print(cli_top_json(&screen->top, workers, shuffles), screen->out);
    if (show == TOP_SCREEN)
        fprintf(screen->out, "\033[H\033[2Joverhand top, master %s, q ends\n",
                address_format(&screen->cluster.masters[screen->cluster.master], text));
    if (show == TOP_TEXT || show == TOP_SCREEN)
        cli_top_print(&screen->top, workers, shuffles, show == TOP_SCREEN ? top_lines() : 0,
                      screen->out);
    fflush(screen->out);
}

/* Ask for both lists. Returns: as cli_cluster_list. */
static int top_look(struct top_screen *screen, enum top_show show)
{
    Overhand__Wire__ListReply *workers, *shuffles;
    int exit_code =
        cli_cluster_list(&screen->cluster, OVERHAND__WIRE__LIST_KIND__LIST_WORKERS, 0, &workers);

    if (exit_code != CLI_OK)
        return exit_code;
    exit_code =
        cli_cluster_list(&screen->cluster, OVERHAND__WIRE__LIST_KIND__LIST_SHUFFLES, 0, &shuffles);
    if (exit_code == CLI_OK) {
        cli_top_add(&screen->top, workers, loop_now_ms(cli_rpc_loop(screen->cluster.rpc)));
        top_show(screen, show, workers, shuffles);
        overhand__wire__list_reply__free_unpacked(shuffles, NULL);
    }
    overhand__wire__list_reply__free_unpacked(workers, NULL);
    return exit_code;
}

/* On one master, until somebody quits. Returns: CLI_OK, or that it does not answer any more. */
static int top_watch(struct top_screen *screen)
{
    int exit_code = CLI_OK;
    int rc = loop_watch_start(&screen->keys, cli_rpc_loop(screen->cluster.rpc), STDIN_FILENO,
                              top_on_key);

    if (rc != 0) {
        fprintf(stderr, "overhand: cannot read keys: %s\n", overhand_strerror(rc));
        return CLI_PROBLEM;
    }
    while (exit_code == CLI_OK && !screen->quit) {
        exit_code = top_look(screen, TOP_SCREEN);
        if (exit_code == CLI_OK && !screen->quit)
            cli_rpc_wait(screen->cluster.rpc, TOP_INTERVAL_MS);
    }
    loop_watch_stop(&screen->keys);
    return exit_code;
}

static int top_live(struct top_screen *screen)
{
    int exit_code = top_watch(screen);

    while (exit_code == CLI_UNREACHABLE && !screen->quit) { /* another master, or the same again */
        cli_cluster_close(&screen->cluster);
        exit_code = cli_cluster_open(screen->args, &screen->cluster);
        if (exit_code == CLI_OK)
            exit_code = top_watch(screen);
        else
            break; /* none answers */
    }
    return exit_code;
}

static int cli_top_run(const struct cli_args *args, FILE *out)
{
    struct top_screen screen = {.args = args, .out = out};
    int exit_code = cli_cluster_open(args, &screen.cluster);

    cli_top_init(&screen.top);
    if (exit_code == CLI_OK && !args->once && !args->json && top_begin_keys(&screen)) {
        exit_code = top_live(&screen);
        top_end_keys(&screen);
    } else if (exit_code == CLI_OK) {
        exit_code = top_look(&screen, TOP_NOTHING);
        if (exit_code == CLI_OK) {
            cli_rpc_wait(screen.cluster.rpc, TOP_INTERVAL_MS);
            exit_code = top_look(&screen, args->json ? TOP_JSON : TOP_TEXT);
        }
    }
    cli_top_fini(&screen.top);
    cli_cluster_close(&screen.cluster);
    return exit_code;
}

const struct cli_command cli_command_top = {
    .name = "top",
    .summary = "Watch the cluster live: the busiest workers, the largest shuffles.",
    .options = " masters once ",
    .operand = "",
    .help = "Every two seconds anew: what each worker takes and gives, its memory and disks, and\n"
            "the largest shuffles. q ends. With --once, and where the output is no terminal, it\n"
            "looks twice, two seconds apart, and prints once.\n\n"
            "Examples:\n"
            "  overhand top --masters m0:9700,m1:9700\n"
            "  overhand top --json | jq '[.workers[].pushed_per_s] | add'\n",
    .run = cli_top_run,
};
