/* Programs that trust their peers, for the tests in which one lies.
 *
 * direct_trust server PORT                   echoes: on PORT by a loop over epoll_pwait with sockets that do not block, on PORT+1 by a thread for each connection, which receives in all ways in turn. A
 *                                            connection to PORT that begins with 'F' gets as much as it takes, again with every turn of the loop. SIGTERM, which only epoll_pwait lets in: "stopped", and the end
 * direct_trust strict ADDRESS PORT COUNT     COUNT connections to either port: blocks of all sizes, each echo checked; "at N" when each connection
 *                                            has got N back, in steps of STEP, "ended" after SIGTERM; an error or a wrong byte: "bad ...", and the end
 * direct_trust tolerant ADDRESS PORT COUNT   the same, but what goes wrong or takes long only makes a new connection
 * direct_trust flood ADDRESS PORT            asks for more than it reads, which is nothing
 *
 * What the strict ones send has MARK in every other word, so that it can be told from all else. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BLOCK = 32 << 10, MOST = 4096, STEP = 50 };
#define MARK 0x5EC7E7A1D0C0FFEEull

static struct sockaddr_in where = { .sin_family = AF_INET };
static volatile sig_atomic_t over;
static atomic_ulong rounds[64], told;
static int strict, count;

static void die(const char *what) { perror(what); exit(1); }
static void stop(int signal) { over = 1; }

static int listener(int port)
{
    int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s, (struct sockaddr *)&at, sizeof at) || listen(s, 256)) die("listen");
    return s;
}

/* --- the server with a thread for each connection --- */

static int put_all(int s, const char *p, size_t n)
{
    while (n) {
        ssize_t k = n & 1 ? send(s, p, n, MSG_NOSIGNAL) : sendmsg(s, &(struct msghdr) { .msg_iov = &(struct iovec) { (void *)p, n }, .msg_iovlen = 1 }, MSG_NOSIGNAL);
        if (k < 0) return -1;
        p += k;
        n -= k;
    }
    return 0;
}

static ssize_t get_some(int s, int way, char *p, size_t n, int *pipes)
{
    int waiting = 0;
    ssize_t k;
    fd_set set;
    switch (way % 7) {
    case 0: return recv(s, p, n, 0);
    case 1: return recv(s, p, n, MSG_PEEK) <= 0 ? -1 : read(s, p, n);
    case 2: poll(&(struct pollfd) { s, POLLIN | POLLRDHUP }, 1, 50); return recv(s, p, n, 0);
    case 3: FD_ZERO(&set); FD_SET(s, &set); select(s + 1, &set, 0, 0, &(struct timeval) { 0, 50000 }); return recv(s, p, n, 0);
    case 4: return readv(s, (struct iovec[2]) { { p, n / 3 }, { p + n / 3, n - n / 3 } }, 2);
    case 5:
        if (ioctl(s, FIONREAD, &waiting) || waiting <= 0 || (size_t)waiting > n) return recv(s, p, n, 0);
        return recv(s, p, waiting, MSG_WAITALL);
    default:
        if ((k = splice(s, 0, pipes[1], 0, n, 0)) <= 0) return k;
        return read(pipes[0], p, k);
    }
}

static void *serve(void *arg)
{
    int s = (int)(long)arg, pipes[2];
    char *buffer = malloc(BLOCK);
    if (pipe(pipes)) die("pipe");
    for (int way = s;; way++) {
        ssize_t k = get_some(s, way, buffer, BLOCK, pipes);
        if (k <= 0 || put_all(s, buffer, k)) break;
    }
    close(s);
    close(pipes[0]);
    close(pipes[1]);
    free(buffer);
    return 0;
}

static void *accept_all(void *arg)
{
    for (int c, s = (int)(long)arg; (c = accept(s, 0, 0)) >= 0;) {
        pthread_t t;
        setsockopt(c, SOL_SOCKET, SO_LINGER, &(struct linger) { c % 3 == 0, 0 }, sizeof(struct linger));
        if (pthread_create(&t, 0, serve, (void *)(long)c)) close(c);
        else pthread_detach(t);
    }
    return 0;
}

/* --- the server with a loop --- */

static struct { char *data; int from, to, begun, floods, waits; } of[MOST];

static void drop(int s)
{
    free(of[s].data);
    memset(&of[s], 0, sizeof of[s]);
    close(s);
}

/* A third is told once of whatever is new, a third once of what came, a third again and again of what it waits for. */
static unsigned wish(int s) { return s % 3 == 0 ? EPOLLIN | EPOLLOUT | EPOLLET : s % 3 == 1 ? EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET : of[s].waits ? EPOLLOUT : EPOLLIN; }

static void wait_for_room(int epoll, int s, int does)
{
    if (of[s].waits == does) return;
    of[s].waits = does;
    if (s % 3 == 2) epoll_ctl(epoll, EPOLL_CTL_MOD, s, &(struct epoll_event) { wish(s), { .fd = s } });
}

/* Receives and sends back until neither goes on; 1 when it still may. */
static int turn(int epoll, int s)
{
    static char flood[BLOCK];
    ssize_t k = 0;
    for (int i = 0; of[s].floods && i < 64; i++) if ((k = send(s, flood, BLOCK, MSG_NOSIGNAL)) < 0) { if (errno != EAGAIN) drop(s); return 0; }
    for (int i = 0; i < 16; i++) { /* and then the others */
        if (of[s].from == of[s].to) {
            wait_for_room(epoll, s, 0);
            if ((k = recv(s, of[s].data, BLOCK, 0)) <= 0) { if (k == 0 || errno != EAGAIN) drop(s); return 0; }
            of[s].from = 0;
            of[s].to = k;
            if (!of[s].begun++ && of[s].data[0] == 'F') { of[s].floods = 1; return 1; }
        }
        if ((k = send(s, of[s].data + of[s].from, of[s].to - of[s].from, MSG_NOSIGNAL)) < 0) {
            if (errno == EAGAIN) wait_for_room(epoll, s, 1);
            else drop(s);
            return 0;
        }
        of[s].from += k;
    }
    return 1;
}

static void loop(int listening)
{
    int epoll = epoll_create1(0), more[MOST], count = 0;
    struct epoll_event events[32];
    sigset_t none;
    sigemptyset(&none);
    fcntl(listening, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &(struct epoll_event) { EPOLLIN, { .fd = listening } });
    while (!over) {
        int n = epoll_pwait(epoll, events, 32, count ? 0 : -1, &none), left = 0;
        for (int i = 0; i < count; i++) if (of[more[i]].data && turn(epoll, more[i])) more[left++] = more[i];
        count = left;
        for (int i = 0; i < n; i++) {
            int s = events[i].data.fd;
            if (s != listening) {
                int known = 0;
                for (int j = 0; j < count; j++) known |= more[j] == s;
                if (!known && of[s].data && turn(epoll, s)) more[count++] = s;
                continue;
            }
            while ((s = accept4(listening, 0, 0, SOCK_NONBLOCK)) >= 0) {
                if (s >= MOST) { close(s); continue; }
                of[s].data = malloc(BLOCK);
                epoll_ctl(epoll, EPOLL_CTL_ADD, s, &(struct epoll_event) { wish(s), { .fd = s } });
            }
        }
        for (int s = 0; s < MOST; s++) if (of[s].floods) turn(epoll, s);
    }
    puts("stopped");
}

/* --- clients --- */

static uint64_t word(uint64_t place) { place *= 0x9E3779B97F4A7C15u; return place ^ place >> 29; }

static int call(int port)
{
    struct sockaddr_in at = where;
    at.sin_port = htons(port);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (!strict) {
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval) { 0, 100000 }, sizeof(struct timeval));
        setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval) { 0, 100000 }, sizeof(struct timeval));
    }
    if (s >= 0 && connect(s, (struct sockaddr *)&at, sizeof at) == 0) return s;
    if (strict) die("connect");
    close(s);
    usleep(1000);
    return -1;
}

/* One block there and back: what went wrong, or null. */
static const char *exchange(int s, uint64_t *out, uint64_t *in, unsigned *seed, uint64_t *place)
{
    size_t n = (16 + rand_r(seed) % BLOCK) & ~15, have = 0;
    if (n > BLOCK) n = BLOCK;
    for (size_t i = 0; i < n / 8; i += 2) {
        out[i] = strict ? MARK : 0;
        out[i + 1] = word((*place)++);
    }
    if (put_all(s, (char *)out, n)) return "send";
    for (ssize_t k; have < n; have += k) if ((k = recv(s, (char *)in + have, n - have, 0)) <= 0) return k ? "recv" : "end";
    return memcmp(in, out, n) ? "bytes" : 0;
}

static void tell(void)
{
    unsigned long least = ULONG_MAX, before = told;
    for (int i = 0; i < count; i++) least = rounds[i] < least ? rounds[i] : least;
    least -= least % STEP;
    if (least > before && atomic_compare_exchange_strong(&told, &before, least)) printf("at %lu\n", least);
}

static void *converse(void *arg)
{
    unsigned seed0 = (unsigned)(long)arg, seed = seed0 + 1;
    uint64_t *out = malloc(BLOCK), *in = malloc(BLOCK), place = (uint64_t)seed << 40;
    int port = ntohs(where.sin_port) + seed0 % 2, s = -1;
    while (!over) {
        if (s < 0 && (s = call(port)) < 0) continue;
        const char *wrong = exchange(s, out, in, &seed, &place);
        if (++rounds[seed0] % STEP == 0) tell();
        if (wrong && strict) { printf("bad %s, errno %d\n", wrong, errno); exit(1); }
        if (wrong) { close(s); s = -1; }
    }
    return 0;
}

int main(int argc, char **argv)
{
    pthread_t t[64];
    sigset_t term;
    setvbuf(stdout, 0, _IOLBF, 0);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigaction(SIGTERM, &(struct sigaction) { .sa_handler = stop }, 0);
    signal(SIGPIPE, SIG_IGN);
    if (!strcmp(argv[1], "server")) {
        int port = atoi(argv[2]), one = listener(port), many = listener(port + 1);
        sigprocmask(SIG_BLOCK, &term, 0);
        pthread_create(&t[0], 0, accept_all, (void *)(long)many);
        puts("ready");
        loop(one);
        return 0;
    }
    inet_pton(AF_INET, argv[2], &where.sin_addr);
    where.sin_port = htons(atoi(argv[3]));
    strict = strcmp(argv[1], "tolerant");
    if (!strcmp(argv[1], "flood")) {
        int s = call(ntohs(where.sin_port));
        if (send(s, "F", 1, 0) != 1) die("send");
        puts("ready");
        while (!over) pause();
        return 0;
    }
    count = atoi(argv[4]);
    for (long i = 0; i < count; i++) pthread_create(&t[i], 0, converse, (void *)i);
    for (int i = 0; i < count; i++) pthread_join(t[i], 0);
    puts("ended");
    return 0;
}
