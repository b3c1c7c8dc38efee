/* The message benchmark: messages server WHERE; messages client WHERE stream|rtt|asleep|connect SIZE SECONDS CONNECTIONS. WHERE is ADDRESS PORT, or unix PATH.
 * "asleep" is rtt with a pause of 2 ms before each, so that all have gone to sleep.
 * It prints one figure (and last its own CPU seconds and the bytes, round trips or connections): bytes per second, the median and 99th percentile of a round trip in us, or connections per second. TCP_NODELAY is set on both sides. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct hello { char mode; int size; } __attribute__((packed));

static union { struct sockaddr any; struct sockaddr_in in; struct sockaddr_un un; } where;
static socklen_t where_length;
static int is_unix;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void die(const char *what) { perror(what); exit(1); }

static int open_socket(void)
{
    int s = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0), on = 1;
    if (s < 0) die("socket");
    if (!is_unix) setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return s;
}

static int all(int s, char *p, int n, int out)
{
    while (n > 0) {
        ssize_t k = out ? send(s, p, n, MSG_NOSIGNAL) : recv(s, p, n, 0);
        if (k <= 0) return -1;
        p += k; n -= k;
    }
    return 0;
}

static void *serve(void *arg)
{
    int s = (int)(long)arg;
    struct hello h;
    char *buffer = malloc(1 << 18);
    if (all(s, (char *)&h, sizeof h, 0) == 0) {
        if (h.mode == 's') {
            unsigned long long total = 0;
            ssize_t k;
            while ((k = recv(s, buffer, 1 << 17, 0)) > 0) total += k;
            all(s, (char *)&total, sizeof total, 1);
        } else while (all(s, buffer, h.size, 0) == 0 && all(s, buffer, h.size, 1) == 0 && h.mode == 'r') ;
    }
    free(buffer);
    close(s);
    return 0;
}

static int server(void)
{
    int s = open_socket(), on = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s, &where.any, where_length) || listen(s, 512)) die("listen");
    printf("ready\n"); fflush(stdout);
    for (;;) {
        int c = accept(s, 0, 0);
        struct hello h;
        pthread_t t;
        if (c < 0) continue;
        if (!is_unix) setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (recv(c, &h, sizeof h, MSG_PEEK) == sizeof h && h.mode == 'c') serve((void *)(long)c);
        else if (pthread_create(&t, 0, serve, (void *)(long)c) == 0) pthread_detach(t);
    }
}

static char mode;
static int size;
static double seconds;
static double *times;
static long count;

static int dial(void)
{
    int s = open_socket();
    if (connect(s, &where.any, where_length)) die("connect");
    return s;
}

static unsigned long long moved;

static void *stream(void *result)
{
    struct hello h = { 's', size };
    int s = dial();
    char *buffer = calloc(1, size);
    all(s, (char *)&h, sizeof h, 1);
    double start = now(), end = start + seconds;
    unsigned long long total = 0;
    for (long i = 0; (i & 15) || now() < end; i++) if (all(s, buffer, size, 1)) die("send");
    shutdown(s, SHUT_WR);
    if (all(s, (char *)&total, sizeof total, 0)) die("total");
    *(double *)result = total / (now() - start);
    __sync_fetch_and_add(&moved, total);
    close(s);
    return 0;
}

static int compare(const void *a, const void *b) { double d = *(double *)a - *(double *)b; return d < 0 ? -1 : d > 0; }

/* What the process has used so far: before main that is whoever became it (nk run), and does not count. */
static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    double used = cpu();
    signal(SIGPIPE, SIG_IGN);
    is_unix = !strcmp(argv[2], "unix");
    if (is_unix) { where.un.sun_family = AF_UNIX; strncpy(where.un.sun_path, argv[3], 100); where_length = sizeof where.un; }
    else { where.in.sin_family = AF_INET; inet_pton(AF_INET, argv[2], &where.in.sin_addr); where.in.sin_port = htons(atoi(argv[3])); where_length = sizeof where.in; }
    if (!strcmp(argv[1], "server")) return server();
    mode = argv[4][0]; size = atoi(argv[5]); seconds = atof(argv[6]);
    int connections = atoi(argv[7]);
    if (mode == 's') {
        pthread_t t[64];
        double rates[64], sum = 0;
        for (int i = 0; i < connections; i++) pthread_create(&t[i], 0, stream, &rates[i]);
        for (int i = 0; i < connections; i++) { pthread_join(t[i], 0); sum += rates[i]; }
        printf("%.0f\n", sum);
    } else if (mode == 'r' || mode == 'a') {
        struct hello h = { 'r', size };
        int s = dial();
        char *buffer = calloc(1, size);
        times = malloc(sizeof(double) * 10000000);
        all(s, (char *)&h, sizeof h, 1);
        double end = now() + seconds;
        for (double t = now(); t < end && count < 10000000;) {
            if (all(s, buffer, size, 1) || all(s, buffer, size, 0)) die("round trip");
            double after = now();
            times[count++] = after - t;
            if (mode == 'a') nanosleep(&(struct timespec) { 0, 2000000 }, 0);
            t = mode == 'a' ? now() : after;
            if (seconds < 0) break;
        }
        qsort(times, count, sizeof(double), compare);
        printf("%.2f %.2f\n", times[count / 2] * 1e6, times[count * 99 / 100] * 1e6);
    } else {
        struct hello h = { 'c', size };
        char buffer[4096] = { 0 };
        double start = now(), end = start + seconds;
        while (now() < end) {
            int s = dial();
            memcpy(buffer, &h, sizeof h);
            if (all(s, buffer, sizeof h + size, 1) || all(s, buffer, size, 0)) die("exchange");
            close(s);
            count++;
        }
        printf("%.0f\n", count / (now() - start));
    }
    printf("cpu %.4f work %llu\n", cpu() - used, mode == 's' ? moved : (unsigned long long)count);
    return 0;
}
