/* Programs that take any fd number for their own, and daemons that close them all. numbers ADDRESS PORT; peer.py is at ADDRESS PORT. Prints a line per step. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 12

static struct sockaddr_in peer;

static void say(const char *what, long result)
{
    printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "ok");
    fflush(stdout);
}

static int dial(const char *line)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&peer, sizeof peer) != 0)
        say("connect", -1);
    if (write(fd, line, strlen(line)) < 0)
        say("write", -1);
    return fd;
}

static int echoes(int fd)
{
    char text[8];
    return write(fd, "hello", 5) == 5 && recv(fd, text, 5, MSG_WAITALL) == 5 && memcmp(text, "hello", 5) == 0;
}

static void *wait_in_poll(void *fd)
{
    struct pollfd p = {*(int *)fd, POLLIN, 0};
    return (void *)(long)poll(&p, 1, 30000);
}

static _Atomic pid_t waiter;

static void *wait_in_set(void *set)
{
    struct epoll_event e;
    waiter = gettid();
    return (void *)(long)epoll_wait(*(int *)set, &e, 1, 30000);
}

/* Until the thread that says so sleeps in the kernel. */
static void await_sleep(void)
{
    char path[64], text[512] = "", *state;
    for (;;) {
        snprintf(path, sizeof path, "/proc/self/task/%d/stat", waiter);
        int file = waiter != 0 ? open(path, O_RDONLY) : -1;
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0 && (state = strrchr(text, ')')) != NULL && state[2] == 'S') {
                close(file);
                return;
            }
            close(file);
        }
        usleep(1000);
    }
}

/* Each number in turn is taken by dup2, used and given back. Others poll meanwhile: one (1), one by an epoll set (2), many that have just begun to (3). */
static void every_number(int with_thread)
{
    int fd = dial("echo\n"), other = dial("echo\n"), wrong = 0, dead = 0, used = 0;
    int set = epoll_create1(0), pipes[2], first = pipe(pipes) == 0 ? pipes[1] + 1 : 0;
    struct epoll_event e = {EPOLLIN, {.fd = other}};
    epoll_ctl(set, EPOLL_CTL_ADD, pipes[0], &e);
    pthread_t threads[MANY];
    int count = with_thread == 3 ? MANY : with_thread != 0;
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], 0, with_thread == 2 ? wait_in_set : wait_in_poll, with_thread == 2 ? &set : &other);
    if (with_thread == 2) {
        await_sleep();
        epoll_ctl(set, EPOLL_CTL_ADD, other, &e);
    }
    for (int n = first; n < 1024; n++) {
        if (with_thread ? dup3(fd, n, O_CLOEXEC) != n : dup2(fd, n) != n) {
            wrong++;
            continue;
        }
        used++;
        dead += n % 8 == 0 || n >= 960 ? !echoes(n) : 0;
        dead += close(n) != 0;
    }
    say("wrong", wrong);
    say("dead", dead);
    say("used", used == 1024 - first);
    if (with_thread) {
        void *result;
        long waited = 0;
        say("other", write(other, "x", 1));
        for (int i = 0; i < count; i++) {
            pthread_join(threads[i], &result);
            waited += (long)result;
        }
        say("waited", waited);
    }
    else {
        say("other", echoes(other));
    }
    /* Files, too, and they stay; but for some numbers, which the library needs. */
    int file = open("/dev/null", O_RDWR);
    for (int n = file + 1; n < 1024; n += n == 500 ? 20 : 1)
        wrong += dup2(file, n) != n;
    say("wrong", wrong);
    say("still", echoes(fd));
    for (int n = file + 1; n < 1024; n += n == 500 ? 20 : 1)
        wrong += close(n) != 0;
    say("wrong", wrong);
    say("still", echoes(fd));
    int third = dial("echo\n");
    say("another", echoes(third));
    close(third);
    close(set);
    close(pipes[0]);
    close(pipes[1]);
    close(file);
    close(other);
    close(fd);
}

static void in_child(const char *what, void (*body)(int), int argument)
{
    fflush(stdout);
    int status, pid = fork();
    if (pid == 0) {
        body(argument);
        exit(0);
    }
    waitpid(pid, &status, 0);
    printf("%s: %d\n", what, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    fflush(stdout);
}

static void closing(int how)
{
    int fd = dial("echo\n"), keep = dup2(fd, 3), epoll = epoll_create1(0);
    struct epoll_event e = {EPOLLIN, {.fd = 3}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, 3, &e);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int bad = 0;
    if (how == 0)
        closefrom(4);
    else if (how == 1)
        say("close_range", close_range(4, ~0u, 0));
    else if (how == 2)
        say("close_range", close_range(4, ~0u, CLOSE_RANGE_UNSHARE));
    else if (how == 3)
        say("close_range", close_range(4, ~0u, CLOSE_RANGE_CLOEXEC));
    else
        for (int n = (int)limit.rlim_cur - 1; n > 3; n--)
            bad += close(n) != 0 && errno != EBADF;
    say("bad", bad);
    say("kept", keep == 3 && echoes(3));
    int again = dial("echo\n");
    say("again", echoes(again));
    say("number", again);
    if (fork() == 0) {
        int own = dial("echo\n");
        exit(echoes(3) && echoes(own) ? 5 : 6);
    }
    int status;
    wait(&status);
    say("child", WEXITSTATUS(status));
    close(0);
    close(1);
    close(2);
    open("/dev/null", O_RDWR);
    exit(dup(0) == 1 && dup(0) == 2 && echoes(3) ? 3 : 4);
}

static void daemon_mode(int socket_on_zero)
{
    int fd = dial("echo\n"), pipes[2];
    char text[64] = "", line[64];
    if (pipe(pipes) != 0)
        exit(1);
    if (fork() == 0) {
        if (socket_on_zero)
            dup2(fd, 0);
        if (daemon(0, 0) != 0)
            exit(2);
        closefrom(pipes[1] + 1);
        int own = dial("echo\n");
        int n = snprintf(line, sizeof line, "inherited %d own %d null %zd number %d", echoes(fd), echoes(own), read(0, line, 1), own - pipes[1]);
        exit(write(pipes[1], line, n) != n);
    }
    close(pipes[1]);
    wait(0);
    int n = 0, got;
    while ((got = read(pipes[0], text + n, sizeof text - 1 - n)) > 0)
        n += got;
    printf("daemon: %s\n", text);
}

int main(int argc, char **argv)
{
    alarm(60);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 1024;
    setrlimit(RLIMIT_NOFILE, &limit);
    peer.sin_family = AF_INET;
    peer.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &peer.sin_addr);
    in_child("every number", every_number, 0);
    in_child("every number, with a thread", every_number, 1);
    in_child("every number, with a set", every_number, 2);
    in_child("every number, with many threads", every_number, 3);
    for (int how = 0; how < 5; how++)
        in_child("closing", closing, how);
    in_child("daemon", daemon_mode, 0);
    in_child("daemon of inetd", daemon_mode, 1);
    return 0;
}
