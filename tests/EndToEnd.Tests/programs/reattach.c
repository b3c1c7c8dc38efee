/* reattach recv|data|accept ADDRESS PORT FILE: a thread waits in a call, and is held there by a signal's handler while CoreEngine dies and the process attaches to the next one. Then it goes on.
 * With "data" a byte waits to be read by then, in memory that the process has no more.
 * FILE appears when CoreEngine has been killed. Prints "held", "again" when a connect to ADDRESS PORT works once more, and what the call returned at last. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sockaddr_in where = { .sin_family = AF_INET };
static int held[2], let_go[2], accepts, s, result, error;
static volatile pid_t tid, leader;

static void die(const char *what) { perror(what); exit(1); }
static void hold(int signal) { int e = errno; char c = 0; write(held[1], &c, 1); read(let_go[0], &c, 1); errno = e; (void)signal; }

static int reach(void)
{
    int c = socket(AF_INET, SOCK_STREAM, 0);
    if (c < 0) return -1;
    if (connect(c, (struct sockaddr *)&where, sizeof where) == 0) return c;
    close(c);
    return -1;
}

static void *wait_in_call(void *unused)
{
    char c;
    tid = syscall(SYS_gettid);
    result = accepts ? accept(s, 0, 0) : recv(s, &c, 1, 0);
    error = errno;
    return unused;
}

/* Whoever waits first is the one that CoreEngine wakes: that thread must not be the held one. */
static void *lead(void *socket)
{
    char c;
    leader = syscall(SYS_gettid);
    recv((int)(long)socket, &c, 1, 0);
    return 0;
}

static char state_of(pid_t thread)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    FILE *f = fopen(path, "r");
    if (!f || !fgets(line, sizeof line, f)) die(path);
    fclose(f);
    return strrchr(line, ')')[2];
}

int main(int argc, char **argv)
{
    setvbuf(stdout, 0, _IOLBF, 0);
    if (argc < 5 || pipe(held) || pipe(let_go)) return 2;
    accepts = !strcmp(argv[1], "accept");
    inet_pton(AF_INET, argv[2], &where.sin_addr);
    where.sin_port = htons(atoi(argv[3]));
    if (accepts) {
        struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(7062) };
        s = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(s, (struct sockaddr *)&any, sizeof any) || listen(s, 5)) die("listen");
    } else if ((s = reach()) < 0) die("connect");

    struct sigaction action = { .sa_handler = hold, .sa_flags = SA_RESTART };
    sigaction(SIGUSR1, &action, 0);
    pthread_t t, first;
    long other = reach();
    if (other < 0) die("connect");
    pthread_create(&first, 0, lead, (void *)other);
    while (!leader || state_of(leader) != 'S') usleep(1000); /* there is nothing else that it sleeps in */
    pthread_create(&t, 0, wait_in_call, 0);
    while (!tid || state_of(tid) != 'S') usleep(1000);
    pthread_kill(t, SIGUSR1);
    char c;
    read(held[0], &c, 1);
    if (!strcmp(argv[1], "data")) {
        int waiting = 0;
        for (send(s, "x", 1, 0); waiting < 1; usleep(1000)) ioctl(s, FIONREAD, &waiting);
    }
    puts("held");
    while (access(argv[4], F_OK) != 0) usleep(1000);
    int again;
    while ((again = reach()) < 0) usleep(10000);
    puts("again");
    write(let_go[1], &c, 1);
    pthread_join(t, 0);
    pthread_join(first, 0);
    puts(result < 0 ? strerrorname_np(error) : accepts ? "accepted" : "data");
    return 0;
}
