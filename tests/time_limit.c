/* A bound on the time of a test program, however it is started: compiled into each of them.
 *
 * ctest's TIMEOUT bounds only what ctest starts, and it waits for whoever holds the output open. An
 * alarm ends the program by SIGALRM wherever it stands; children that it started ask for a signal
 * when their parent ends (PR_SET_PDEATHSIG). Debugging for longer: `handle SIGALRM nopass` in gdb.
 */
#include <unistd.h>

__attribute__((constructor)) static void time_limit_start(void)
{
    alarm(TEST_SECONDS_MAX);
}
