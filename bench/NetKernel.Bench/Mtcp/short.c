/* Short connections: connect, 64 bytes each way, close. short server PORT; short client ADDRESS PORT SECONDS AT_A_TIME. One thread and one epoll set each.
 * The client prints connections per second, how many there were, and how many failed. The server closes first, as HTTP servers do. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BYTES 64
#define EVENTS 128

static struct sockaddr_in where = { .sin_family = AF_INET };
static int set;
static char out[BYTES], in[4096];
static long done, failed;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void die(const char *what) { perror(what); exit(1); }

static void watch(int fd, int how, int operation)
{
    struct epoll_event e = { .events = how, .data.fd = fd };
    if (epoll_ctl(set, operation, fd, &e)) die("epoll_ctl");
}

static void server(int port)
{
    struct epoll_event events[EVENTS];
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    where.sin_port = htons(port);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) || listen(listener, 4096)) die("listen");
    watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        int n = epoll_wait(set, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int c;
                while ((c = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) watch(c, EPOLLIN, EPOLL_CTL_ADD);
                continue;
            }
            ssize_t k = recv(fd, in, sizeof in, 0);
            if (k < 0 && errno == EAGAIN) continue;
            if (k > 0) send(fd, out, BYTES, MSG_NOSIGNAL);
            close(fd);
        }
    }
}

static void dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr *)&where, sizeof where) && errno != EINPROGRESS) die("connect");
    watch(fd, EPOLLOUT, EPOLL_CTL_ADD);
}

static int client(const char *address, int port, double seconds, int most)
{
    struct epoll_event events[EVENTS];
    inet_pton(AF_INET, address, &where.sin_addr);
    where.sin_port = htons(port);
    double start = now(), end = start + seconds;
    int open = 0;
    while (open < most) dial(), open++;
    while (open) {
        int n = epoll_wait(set, events, EVENTS, 10000);
        if (n == 0) { fprintf(stderr, "nothing for 10 s, %d open\n", open); return 1; }
        int more = now() < end;
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (events[i].events & EPOLLOUT) {
                if (send(fd, out, BYTES, MSG_NOSIGNAL) == BYTES) { watch(fd, EPOLLIN, EPOLL_CTL_MOD); continue; }
                failed++;
            } else {
                ssize_t k = recv(fd, in, sizeof in, 0);
                if (k < 0 && errno == EAGAIN) continue;
                if (k == BYTES) continue; /* the end comes as well */
                if (k == 0) done++; else failed++;
            }
            close(fd);
            if (more) dial(); else open--;
        }
    }
    printf("%.1f connections/s, %ld done, %ld failed\n", done / (now() - start), done, failed);
    return 0;
}

int main(int argc, char **argv)
{
    set = epoll_create1(0);
    if (argc == 3 && !strcmp(argv[1], "server")) server(atoi(argv[2]));
    if (argc == 6 && !strcmp(argv[1], "client")) return client(argv[2], atoi(argv[3]), atof(argv[4]), atoi(argv[5]));
    fprintf(stderr, "short server PORT | short client ADDRESS PORT SECONDS AT_A_TIME\n");
    return 2;
}
