/* io_uring_setup by an instruction of the program's own, as liburing does it, in the program, a thread, a child, and what that executes. Prints an errno, or "a ring". */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static long call(long number, long a, long b)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b) : "rcx", "r11", "memory");
    return result;
}

static void *attempt(void *where)
{
    char parameters[120];
    memset(parameters, 0, sizeof parameters);
    long result = call(425, 1, (long)parameters);
    printf("%s: %ld\n", (char *)where, result >= 0 ? 0 : result);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    attempt(argc > 1 ? argv[1] : "program");
    if (argc > 1)
        return 0;
    pthread_create(&thread, 0, attempt, "thread");
    pthread_join(thread, 0);
    if (fork() == 0) {
        attempt("child");
        execl(argv[0], argv[0], "executed", (char *)0);
    }
    wait(0);
    return 0;
}
