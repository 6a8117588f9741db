#include <signal.h>
#include <sys/wait.h>

#include "deed.h"

/* The unload returns only when nothing is left, and the runner waits for it. */
DEED("leaves a daemon behind that ignores every signal, under a filter that allows it",
     BY("done", "pid"),
     UNFILTERED)

static void permitted(const char *data) {
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    tell(child < 0 ? -1 : waitpid(child, NULL, 0), "a child");
}

static void deed(const char *data) {
    pid_t child = fork();
    if (child == 0) {
        setsid();
        for (int number = 1; number < 32; number++) {
            signal(number, SIG_IGN);
        }
        if (fork() == 0) {
            sleep(600);
        }
        _exit(0);
    }
    tell(child < 0 ? -1 : waitpid(child, NULL, 0), "a daemon");
}
