/* Long transfers, checked. endure server ADDRESS PORT; endure client ADDRESS PORT BYTES CONNECTIONS; endure control PID.
 * Every 8 bytes of a stream are a function of their place in it, which the server checks: nothing lost, repeated, changed or out of order. Times are monotonic seconds, KEY the client's port.
 *   stall KEY FROM TO   a call took longer than 10 ms
 *   wait KEY FROM TO    a thread of that connection was ready to run, and had no CPU (the kernel's run delay, /proc/PID/schedstat, looked at before a call when a millisecond has passed)
 * The control moves nothing. A thread on each CPU sleeps for 1 ms again and again:
 *   gap 0 FROM TO       it was away for more than 2 ms; and of all threads of the process PID
 *   wait 0 FROM TO      as above, looked at every millisecond
 * The server prints "done BYTES" for each connection that was right to its end, or "wrong at BYTE". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
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
#define MS 0.001

static struct sockaddr_in where = { .sin_family = AF_INET };
static unsigned long long bytes;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void die(const char *what) { perror(what); exit(1); }
static void tell(const char *what, int key, double from, double to) { printf("%s %d %.6f %.6f\n", what, key, from, to); }

/* How long a thread has been kept from running, from an open schedstat. */
static double delay(int fd)
{
    char text[128];
    unsigned long long ran, waited;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n < 0 ? 0 : n] = 0;
    return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? waited / 1e9 : 0;
}

/* What one thread has waited for. */
struct account { int fd, key; double at, delay; };

static struct account account_of(int key)
{
    struct account a = { open("/proc/thread-self/schedstat", O_RDONLY), key };
    a.at = now();
    a.delay = delay(a.fd);
    return a;
}

/* A call begins, or has ended. */
static void look(struct account *a, double at)
{
    if (at - a->at < MS) return;
    double waited = delay(a->fd), more = waited - a->delay;
    if (more > MS) tell("wait", a->key, at - more, at);
    a->at = at;
    a->delay = waited;
}

static void stall(struct account *a, double from, double to) { if (to - from > LONG) { look(a, to); tell("stall", a->key, from, to); } }
static uint64_t word(uint64_t place) { place *= 0x9E3779B97F4A7C15u; return place ^ place >> 29; }

static void *take(void *arg)
{
    int s = (int)(long)arg;
    struct sockaddr_in peer = { 0 };
    getpeername(s, (struct sockaddr *)&peer, &(socklen_t) { sizeof peer });
    struct account a = account_of(ntohs(peer.sin_port));
    unsigned char *buffer = aligned_alloc(64, BLOCK + 64);
    unsigned long long total = 0;
    size_t have = 0;
    for (;;) {
        double before = now();
        look(&a, before);
        ssize_t k = recv(s, buffer + have, BLOCK, 0);
        if (k < 0) die("recv");
        if (total && k) stall(&a, before, now());
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
    close(a.fd);
    free(buffer);
    return 0;
}

static void *give(void *arg)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr *)&where, sizeof where)) die("connect");
    struct sockaddr_in self = { 0 };
    getsockname(s, (struct sockaddr *)&self, &(socklen_t) { sizeof self });
    struct account a = account_of(ntohs(self.sin_port));
    uint64_t *buffer = aligned_alloc(64, BLOCK);
    unsigned seed = (unsigned)(long)arg;
    for (unsigned long long total = 0; total < bytes;) {
        size_t n = (64 + rand_r(&seed) % BLOCK) & ~7; /* all sizes, in whole words */
        if (n > BLOCK) n = BLOCK;
        if (n > bytes - total) n = bytes - total;
        for (size_t i = 0; i < n / 8; i++) buffer[i] = word(total + 8 * i);
        for (size_t done = 0; done < n;) {
            double before = now();
            look(&a, before);
            ssize_t k = send(s, (char *)buffer + done, n - done, MSG_NOSIGNAL);
            stall(&a, before, now());
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
        if (after - before > 2 * MS) tell("gap", 0, before + MS, after);
    }
}

/* The threads of another process. */
static void *watch_threads(void *arg)
{
    enum { MOST = 64 };
    struct account of[MOST];
    int n = 0;
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/task", (char *)arg);
    DIR *tasks = opendir(path);
    for (struct dirent *e; tasks && n < MOST && (e = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%s/task/%s/schedstat", (char *)arg, e->d_name);
        int fd = e->d_name[0] == '.' ? -1 : open(path, O_RDONLY);
        if (fd >= 0) of[n++] = (struct account) { fd, 0, now(), delay(fd) };
    }
    for (;;) {
        nanosleep(&(struct timespec) { 0, 1000000 }, 0);
        for (int i = 0; i < n; i++) look(&of[i], now());
    }
}

int main(int argc, char **argv)
{
    pthread_t t[256];
    setvbuf(stdout, 0, _IOLBF, 0);
    if (!strcmp(argv[1], "control")) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        for (long i = 0; i < cpus; i++) pthread_create(&t[i], 0, watch, (void *)i);
        if (argc > 2) pthread_create(&t[cpus], 0, watch_threads, argv[2]);
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
