/* Streams that something is killed under. faults server ADDRESS PORT; faults client ADDRESS PORT CONNECTIONS.
 * The client sends on all connections without end; every 8 bytes of a stream are a function of their place in it, which the server checks. The client prints "up" when each connection has moved a
 * megabyte. Whoever is left prints for each connection "end HOW TIME" (monotonic nanoseconds): HOW is EOF, or the errno's name; "wrong at BYTE" and its end if a byte is not the one that follows. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 32 << 10, ENOUGH = 1 << 20 };

static struct sockaddr_in where = { .sin_family = AF_INET };
static atomic_int waiting;

static void die(const char *what) { perror(what); exit(1); }
static uint64_t word(uint64_t place) { place *= 0x9E3779B97F4A7C15u; return place ^ place >> 29; }

static void end(int error)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    printf("end %s %lld\n", error ? strerrorname_np(error) : "EOF", t.tv_sec * 1000000000ll + t.tv_nsec);
}

static void *take(void *arg)
{
    int s = (int)(long)arg;
    unsigned char *buffer = aligned_alloc(64, BLOCK + 64);
    unsigned long long total = 0;
    size_t have = 0;
    for (;;) {
        ssize_t k = recv(s, buffer + have, BLOCK, 0);
        if (k <= 0) { end(k ? errno : 0); break; }
        have += k;
        size_t i = 0;
        for (; i + 8 <= have; i += 8) {
            uint64_t w;
            memcpy(&w, buffer + i, 8);
            if (w != word(total + i)) { printf("wrong at %llu\n", total + i); exit(1); }
        }
        total += i;
        have -= i;
        memmove(buffer, buffer + i, have);
    }
    close(s);
    free(buffer);
    return 0;
}

static void *give(void *arg)
{
    int s = (int)(long)arg;
    uint64_t *buffer = aligned_alloc(64, BLOCK);
    for (unsigned long long total = 0;;) {
        for (size_t i = 0; i < BLOCK / 8; i++) buffer[i] = word(total + 8 * i);
        for (size_t done = 0; done < BLOCK;) {
            ssize_t k = send(s, (char *)buffer + done, BLOCK - done, MSG_NOSIGNAL);
            if (k < 0) { end(errno); close(s); return 0; }
            done += k;
        }
        total += BLOCK;
        if (total == ENOUGH && --waiting == 0) puts("up");
    }
}

static void run(void *(*what)(void *), long s)
{
    pthread_t t;
    if (pthread_create(&t, 0, what, (void *)s)) die("pthread_create");
    pthread_detach(t);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, 0, _IOLBF, 0);
    if (argc < 4) return 2;
    inet_pton(AF_INET, argv[2], &where.sin_addr);
    where.sin_port = htons(atoi(argv[3]));
    if (!strcmp(argv[1], "server")) {
        int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(s, (struct sockaddr *)&where, sizeof where) || listen(s, 128)) die("listen");
        puts("ready");
        for (;;) {
            int c = accept(s, 0, 0);
            if (c >= 0) run(take, c);
            else if (errno != ECONNABORTED) die("accept");
        }
    }
    int connections = waiting = atoi(argv[4]);
    for (int i = 0; i < connections; i++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        if (s < 0 || connect(s, (struct sockaddr *)&where, sizeof where)) die("connect");
        run(give, s);
    }
    pause();
}
