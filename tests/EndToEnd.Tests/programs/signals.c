/* What only C can show: signal handlers that use sockets in the middle of socket calls, jumps out of blocked calls, fork beside busy threads.
   signals ADDRESS PORT: ADDRESS runs an echo server. Prints "case: result" lines; exits 0 when all are ok. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in server;
static int failures;

static void result(const char *name, int ok, long detail)
{
    printf("%s: %s (%ld)\n", name, ok ? "ok" : "FAILED", detail);
    fflush(stdout);
    failures += !ok;
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server) != 0) {
        perror("connect");
        exit(1);
    }
    return fd;
}

static int read_all(int fd, char *p, long n)
{
    for (long got = 0; got < n;) {
        ssize_t r = read(fd, p + got, n - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return 0;
        got += r;
    }
    return 1;
}

static int echo(int fd, int i)
{
    char out[64], in[64];
    memset(out, 'a' + i % 26, sizeof out);
    for (size_t done = 0; done < sizeof out;) {
        ssize_t w = write(fd, out + done, sizeof out - done);
        if (w < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (w <= 0)
            return 0;
        done += w;
    }
    return read_all(fd, in, sizeof in) && memcmp(in, out, sizeof in) == 0;
}

static volatile long sent, refused, other;
static int handler_fd;

static void on_alarm(int s)
{
    (void)s;
    int saved = errno;
    ssize_t w = write(handler_fd, "s", 1);
    if (w == 1)
        sent++;
    else if (errno == EAGAIN)
        refused++;
    else
        other++;
    errno = saved;
}

static void handler_writes(void)
{
    int fd = dial();
    handler_fd = dial();
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &sa, NULL);
    struct itimerval fast = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &fast, NULL);
    int ok = 1;
    for (int i = 0; i < 20000 && ok; i++)
        ok = echo(fd, i);
    setitimer(ITIMER_REAL, &off, NULL);
    char *back = malloc(sent + 1);
    ok = ok && other == 0 && sent > 0 && read_all(handler_fd, back, sent);
    result("a handler writes while calls are under way", ok, sent);
    free(back);
    close(fd);
    close(handler_fd);
}

static sigjmp_buf jump;

static void on_jump(int s)
{
    (void)s;
    siglongjmp(jump, 1);
}

static void jumps(void)
{
    int fd = dial();
    struct sigaction sa = {.sa_handler = on_jump};
    sigaction(SIGALRM, &sa, NULL);
    volatile int jumped = 0;
    char c;
    while (jumped < 50) {
        if (sigsetjmp(jump, 1)) {
            jumped++;
            continue;
        }
        struct itimerval soon = {{0, 0}, {0, 1000}};
        setitimer(ITIMER_REAL, &soon, NULL);
        if (read(fd, &c, 1) >= 0)
            break;
    }
    signal(SIGALRM, SIG_DFL);
    result("siglongjmp out of a blocked read", jumped == 50 && echo(fd, 1), jumped);
    close(fd);
}

static volatile int stop;

static void *talker(void *p)
{
    (void)p;
    int fd = dial();
    long n = 0;
    do {
        if (!echo(fd, (int)n))
            break;
        n++;
    } while (!stop);
    close(fd);
    return (void *)n;
}

static void forks(void)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, talker, NULL);
    int good = 0;
    for (int i = 0; i < 30; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            int fd = dial();
            alarm(20);
            for (int k = 0; k < 20; k++)
                if (!echo(fd, k))
                    _exit(1);
            _exit(0);
        }
        int status;
        waitpid(pid, &status, 0);
        good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    stop = 1;
    long least = 1 << 30;
    for (int i = 0; i < 4; i++) {
        void *n;
        pthread_join(t[i], &n);
        least = (long)n < least ? (long)n : least;
    }
    result("fork beside busy threads, the child connects", good == 30 && least > 0, good);
}

static void sigpipe(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        int fd = dial();
        shutdown(fd, SHUT_WR);
        write(fd, "x", 1);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    result("SIGPIPE kills by default", WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE, status);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    handler_writes();
    jumps();
    forks();
    sigpipe();
    return failures != 0;
}
