/* Any words as a command line: taken or refused with a message, and nothing is leaked. The first
 * byte chooses the command, zero bytes end the words. */
#include <string.h>

#include "cli/cli.h"
#include "core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { WORDS_MAX = 32 };

static const struct cli_command *const commands[] = {
    &cli_command_local,    &cli_command_status,     &cli_command_workers,   &cli_command_apps,
    &cli_command_shuffles, &cli_command_partitions, &cli_command_inspect,   &cli_command_fsck,
    &cli_command_config,   &cli_command_delete,     &cli_command_completion};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct cli_command *command;
    char *words[WORDS_MAX + 2] = {"overhand"};
    struct cli_args args;
    char *text;
    int n = 1;

    if (len < 1)
        return 0;
    command = commands[data[0] % (sizeof commands / sizeof commands[0])];
    text = mem_alloc(len);
    memcpy(text, data + 1, len - 1);
    text[len - 1] = '\0';
    for (char *at = text; n <= WORDS_MAX && at < text + len; at += strlen(at) + 1)
        words[n++] = at;
    ASSERT(cli_args_find_command(n, words) >= 1 && cli_args_find_command(n, words) <= n);
    if (cli_args_parse(command, n, words, &args) == 0 && !args.help)
        ASSERT(args.n_operands >= command->operands_min &&
               args.n_operands <= command->operands_max);
    cli_args_fini(&args);
    mem_free(text);
    return 0;
}
