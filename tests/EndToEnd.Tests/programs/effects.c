/* What socket options do, seen from the other end or from what a program can count. Run natively and through NetKernel: the output must be the same.
   effects ADDRESS PORT: ADDRESS runs peer.py. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static struct sockaddr_in server;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void set(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof value) != 0)
        die("setsockopt");
}

static int start(int fd, char mode)
{
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0 || write(fd, &mode, 1) != 1)
        die("connect");
    return fd;
}

static int dial(char mode) { return start(socket(AF_INET, SOCK_STREAM, 0), mode); }

/* What the peer answers, up to its newline. */
static void answer(const char *what, int fd)
{
    char b[200];
    int n = 0;
    while (n < 199 && read(fd, b + n, 1) == 1 && b[n] != '\n')
        n++;
    b[n] = 0;
    printf("%s: %s\n", what, b);
    fflush(stdout);
}

static void corked(void)
{
    int fd = dial('s');
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, IPPROTO_TCP, TCP_CORK, 1);
    for (int i = 0; i < 10; i++)
        if (write(fd, "x", 1) != 1)
            die("write");
    set(fd, IPPROTO_TCP, TCP_CORK, 0);
    shutdown(fd, SHUT_WR);
    answer("segments and bytes, corked", fd);
    close(fd);

    fd = dial('s');
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    for (int i = 0; i < 10; i++)
        if (send(fd, "x", 1, i < 9 ? MSG_MORE : 0) != 1)
            die("send");
    shutdown(fd, SHUT_WR);
    answer("segments and bytes, MSG_MORE", fd);
    close(fd);
}

static void marked(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    set(fd, IPPROTO_IP, IP_TOS, 0x10);
    set(fd, IPPROTO_IP, IP_TTL, 77);
    set(fd, IPPROTO_TCP, TCP_MAXSEG, 1000);
    answer("TOS, TTL, MSS of the SYN", start(fd, 'y'));
    close(fd);
}

static void lingering(void)
{
    struct linger l = { 1, 0 };
    int fd = dial('z');
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(fd);
    answer("closed with SO_LINGER 0", fd = dial('Z'));
    close(fd);
    l.l_linger = 20;
    fd = dial('z');
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(fd);
    answer("closed with SO_LINGER 20", fd = dial('Z'));
    close(fd);
}

static int available(int fd)
{
    int n = 0;
    ioctl(fd, FIONREAD, &n);
    return n;
}

static void await(int fd, int bytes)
{
    for (int i = 0; i < 20000 && available(fd) < bytes; i++)
        usleep(1000);
}

static void low_water(void)
{
    int fd = dial('p');
    char b[64];
    set(fd, SOL_SOCKET, SO_RCVLOWAT, 8);
    struct pollfd p = { fd, POLLIN, 0 };
    await(fd, 3);
    printf("3 bytes of 8: %d", poll(&p, 1, 0));
    if (write(fd, "+", 1) != 1)
        die("write");
    await(fd, 7);
    printf(", 7 of 8: %d", poll(&p, 1, 0));
    if (write(fd, "+", 1) != 1)
        die("write");
    await(fd, 12);
    printf(", 12 of 8: %d\n", poll(&p, 1, 0));
    printf("recv: %zd\n", recv(fd, b, sizeof b, 0));
    set(fd, SOL_SOCKET, SO_RCVLOWAT, 4);
    if (write(fd, "+", 1) != 1)
        die("write");
    printf("recv waits for the mark: %zd\n", recv(fd, b, 5, 0));
    close(fd);
}

static long fill(int fd)
{
    static char b[65536];
    long total = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (int quiet = 0; quiet < 20;) {
        ssize_t n = write(fd, b, sizeof b);
        if (n > 0) {
            total += n;
            quiet = 0;
        } else {
            usleep(10000);
            quiet++;
        }
    }
    return total;
}

static void bounded(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), unsent = -1;
    set(fd, SOL_SOCKET, SO_SNDBUF, 8192);
    long small = fill(start(fd, 'n')), large;
    close(fd);
    fd = dial('n');
    large = fill(fd);
    close(fd);
    printf("SO_SNDBUF bounds what waits: %s\n", small < 400000 && large > small ? "yes" : "no");

    fd = socket(AF_INET, SOCK_STREAM, 0);
    set(fd, SOL_SOCKET, SO_RCVBUF, 65536);
    start(fd, 'b');
    int wanted = 1 << 20;
    if (write(fd, &wanted, 4) != 4)
        die("write");
    int held = 0, still = 0;
    while (still < 20) {
        int now = available(fd);
        still = now == held ? still + 1 : 0;
        held = now;
        usleep(10000);
    }
    printf("SO_RCVBUF bounds what waits: %s\n", held > 0 && held <= 131072 ? "yes" : "no");
    long got = 0;
    char b[4096];
    for (ssize_t n; (n = read(fd, b, sizeof b)) > 0;)
        got += n;
    printf("and all comes: %ld\n", got);
    close(fd);

    fd = socket(AF_INET, SOCK_STREAM, 0);
    set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
    fill(start(fd, 'n'));
    ioctl(fd, 0x894B /* SIOCOUTQNSD */, &unsent);
    printf("TCP_NOTSENT_LOWAT bounds what is not sent: %s\n", unsent >= 0 && unsent < 200000 ? "yes" : "no");
    close(fd);
}

static void information(void)
{
    int fd = dial('d'), queued = 1;
    char b[5000] = { 0 };
    struct tcp_info i;
    socklen_t n = sizeof i;
    if (write(fd, b, sizeof b) != sizeof b)
        die("write");
    for (int t = 0; t < 20000 && queued != 0; t++) {
        ioctl(fd, TIOCOUTQ, &queued);
        usleep(1000);
    }
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n);
    printf("tcp_info: %d bytes, state %d, acknowledged %llu, congestion window %s\n", (int)n, i.tcpi_state, (unsigned long long)i.tcpi_bytes_acked, i.tcpi_snd_cwnd > 0 ? "there" : "none");
    close(fd);
}

/* Two processes, one port: who accepts what the peer makes? */
static void shared_port(void)
{
    enum { Connections = 64 };
    struct sockaddr_in any = { .sin_family = AF_INET };
    socklen_t n = sizeof any;
    int first = socket(AF_INET, SOCK_STREAM, 0), second = socket(AF_INET, SOCK_STREAM, 0), third = socket(AF_INET, SOCK_STREAM, 0);
    set(first, SOL_SOCKET, SO_REUSEPORT, 1);
    set(second, SOL_SOCKET, SO_REUSEPORT, 1);
    if (bind(first, (struct sockaddr *)&any, n) != 0 || getsockname(first, (struct sockaddr *)&any, &n) != 0 || listen(first, 100) != 0)
        die("bind");
    printf("a second socket without SO_REUSEPORT: %s\n", bind(third, (struct sockaddr *)&any, n) == 0 ? "bound" : strerrorname_np(errno));
    int pair[2];
    if (pipe(pair) != 0)
        die("pipe");
    pid_t child = fork();
    if (child == 0) {
        int count = 0;
        close(first);
        if (bind(second, (struct sockaddr *)&any, n) != 0 || listen(second, 100) != 0)
            die("bind");
        if (write(pair[1], "r", 1) != 1)
            die("pipe");
        struct pollfd p = { second, POLLIN, 0 };
        while (poll(&p, 1, 20000) > 0) {
            char b;
            int c = accept(second, NULL, NULL);
            if (read(c, &b, 1) != 1)
                die("read");
            close(c);
            if (write(pair[1], "c", 1) != 1)
                die("pipe");
            count++;
        }
        exit(0);
    }
    close(second);
    char b[16];
    if (read(pair[0], b, 1) != 1)
        die("pipe");
    fcntl(first, F_SETFL, O_NONBLOCK);
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    int ours = 0, theirs = 0;
    for (int i = 0; i < Connections; i++) {
        int k = dial('k');
        if (write(k, &any.sin_port, 2) != 2)
            die("write");
        struct pollfd p[2] = { { first, POLLIN, 0 }, { pair[0], POLLIN, 0 } };
        if (poll(p, 2, 20000) <= 0)
            die("nobody got it");
        int c = accept(first, NULL, NULL);
        if (c >= 0) {
            ours++;
            close(c);
        } else if (read(pair[0], b, 1) == 1) {
            theirs++;
        } else {
            i--;
        }
        close(k);
    }
    printf("SO_REUSEPORT: %d connections, both got some: %s\n", ours + theirs, ours > 0 && theirs > 0 ? "yes" : "no");
    close(first);
    kill(child, 9);
    waitpid(child, NULL, 0);
}

static void urgent_inline(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char b[16];
    set(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    start(fd, 'u');
    await(fd, 3);
    int n = 0;
    while (n < 3) {
        ssize_t r = read(fd, b + n, sizeof b - n);
        if (r <= 0)
            break;
        n += r;
    }
    printf("with SO_OOBINLINE: %.*s\n", n, b);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    setvbuf(stdout, NULL, _IOLBF, 0);
    corked();
    marked();
    lingering();
    low_water();
    bounded();
    information();
    shared_port();
    urgent_inline();
    return 0;
}
