/* Long transfers, checked. endure server ADDRESS PORT; endure client ADDRESS PORT BYTES CONNECTIONS; endure control.
 * Every 8 bytes of a stream are a function of their place in it, which the server checks: nothing lost, repeated, changed or out of order. Calls that take longer than 10 ms are printed
 * as "stall START END" (monotonic seconds). The control moves nothing: a thread on each CPU sleeps for 1 ms again and again, and prints when it was away for more than 10 ms.
 * The server prints "done BYTES" for each connection that was right to its end, or "wrong at BYTE". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 64 << 10 };
#define LONG 0.010

static struct sockaddr_in where = { .sin_family = AF_INET };
static unsigned long long bytes;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void die(const char *what) { perror(what); exit(1); }
static void stall(double from, double to) { if (to - from > LONG) { printf("stall %.6f %.6f\n", from, to); fflush(stdout); } }
static uint64_t word(uint64_t place) { place *= 0x9E3779B97F4A7C15u; return place ^ place >> 29; }

static void *take(void *arg)
{
    int s = (int)(long)arg;
    unsigned char *buffer = aligned_alloc(64, BLOCK + 64);
    unsigned long long total = 0;
    size_t have = 0;
    for (;;) {
        double before = now();
        ssize_t k = recv(s, buffer + have, BLOCK, 0);
        if (k < 0) die("recv");
        if (total) stall(before, now());
        if (k == 0) break;
        have += k;
        size_t i = 0;
        for (; i + 8 <= have; i += 8) {
            uint64_t w;
            memcpy(&w, buffer + i, 8);
            if (w != word(total + i)) { printf("wrong at %llu\n", total + i); fflush(stdout); exit(1); }
        }
        total += i;
        have -= i;
        memmove(buffer, buffer + i, have);
    }
    printf(have ? "wrong at %llu\n" : "done %llu\n", total);
    fflush(stdout);
    close(s);
    free(buffer);
    return 0;
}

static void *give(void *arg)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr *)&where, sizeof where)) die("connect");
    uint64_t *buffer = aligned_alloc(64, BLOCK);
    unsigned seed = (unsigned)(long)arg;
    for (unsigned long long total = 0; total < bytes;) {
        size_t n = (64 + rand_r(&seed) % BLOCK) & ~7; /* all sizes, in whole words */
        if (n > BLOCK) n = BLOCK;
        if (n > bytes - total) n = bytes - total;
        for (size_t i = 0; i < n / 8; i++) buffer[i] = word(total + 8 * i);
        for (size_t done = 0; done < n;) {
            double before = now();
            ssize_t k = send(s, (char *)buffer + done, n - done, MSG_NOSIGNAL);
            stall(before, now());
            if (k < 0) die("send");
            done += k;
        }
        total += n;
    }
    close(s);
    return 0;
}

static void *watch(void *arg)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((int)(long)arg, &one);
    sched_setaffinity(0, sizeof one, &one);
    for (double before = now(), after;; before = after) {
        nanosleep(&(struct timespec) { 0, 1000000 }, 0);
        after = now();
        stall(before, after);
    }
}

int main(int argc, char **argv)
{
    pthread_t t[256];
    setvbuf(stdout, 0, _IOLBF, 0);
    if (!strcmp(argv[1], "control")) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        for (long i = 0; i < cpus; i++) pthread_create(&t[i], 0, watch, (void *)i);
        puts("ready");
        pause();
    }
    if (argc < 4) return 2;
    inet_pton(AF_INET, argv[2], &where.sin_addr);
    where.sin_port = htons(atoi(argv[3]));
    if (!strcmp(argv[1], "server")) {
        int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(s, (struct sockaddr *)&where, sizeof where) || listen(s, 128)) die("listen");
        puts("ready");
        for (int c; (c = accept(s, 0, 0)) >= 0;) if (pthread_create(&t[0], 0, take, (void *)(long)c) == 0) pthread_detach(t[0]);
        die("accept");
    }
    bytes = strtoull(argv[4], 0, 10) & ~7ull;
    int connections = atoi(argv[5]);
    for (long i = 0; i < connections; i++) pthread_create(&t[i], 0, give, (void *)(i + 1));
    for (int i = 0; i < connections; i++) pthread_join(t[i], 0);
    return 0;
}
