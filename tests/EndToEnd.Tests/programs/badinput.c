/* Every socket call with bad pointers, lengths, fds, addresses and in the wrong state. Prints one line per call: what was asked, the result, the
   errno. Run natively and through NetKernel, the output must be the same.
   badinput ADDRESS PORT [GROUP]: ADDRESS runs peer.py; GROUP: only that group. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in server;
static volatile sig_atomic_t pipes;
static char *unmapped, *readonly, *edge; /* edge: the first byte of a page that is not there; the page before it is */
static char *const kernel = (char *)0xffff800000000000, *const beyond = (char *)0x0000800000000000, *const noncanonical = (char *)0x4000000000000000;

static void row(const char *what, long result)
{
    int error = errno;
    printf("%s: %ld", what, result);
    if (result < 0)
        printf(" %s", strerrorname_np(error));
    if (pipes)
        printf(" SIGPIPE");
    printf("\n");
    fflush(stdout);
    pipes = 0;
}

#define T(what, call) do { errno = 0; pipes = 0; long r_ = (long)(call); row(what, r_); } while (0)

static void on_pipe(int s)
{
    (void)s;
    pipes++;
}

static int fresh(void) { return socket(AF_INET, SOCK_STREAM, 0); }

static int bound(void)
{
    int fd = fresh();
    struct sockaddr_in any = { .sin_family = AF_INET };
    if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0)
        perror("bind");
    return fd;
}

static int listening(void)
{
    int fd = bound();
    if (listen(fd, 5) != 0)
        perror("listen");
    return fd;
}

static int dial(char mode)
{
    int fd = fresh();
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0 || write(fd, &mode, 1) != 1) {
        perror("connect");
        exit(1);
    }
    return fd;
}

/* A connection whose SYN nobody answers; each has an address of its own, since the kernel remembers for a while where nobody is. */
static int connecting(void)
{
    static int host;
    if (host == 0)
        host = getpid() % 64 * 64;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in nobody = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xC612E000 + ++host) };
    if (connect(fd, (struct sockaddr *)&nobody, sizeof nobody) == 0 || errno != EINPROGRESS)
        perror("connecting");
    return fd;
}

static int await(int fd, short events)
{
    struct pollfd p = { fd, events, 0 };
    return poll(&p, 1, 20000);
}

static int reset(void)
{
    int fd = dial('r');
    await(fd, POLLRDHUP | POLLERR);
    return fd;
}

static int ended(void)
{
    int fd = dial('c');
    await(fd, POLLRDHUP);
    return fd;
}

static void pointers_data(void)
{
    int fd = dial('e');
    char b[64];
    struct { const char *name; char *p; } bad[] = { { "null", NULL }, { "one", (char *)1 }, { "unmapped", unmapped }, { "kernel", kernel }, { "beyond", beyond },
        { "noncanonical", noncanonical }, { "readonly", readonly }, { "edge", edge }, { "minus1", (char *)-1 } };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        char what[100];
        char *p = bad[i].p;
        if (p != readonly) { /* reading from it is fine, and would send */
#define S(label, call) do { snprintf(what, sizeof what, "%s %s", label, bad[i].name); T(what, call); } while (0)
            S("write", write(fd, p, 10));
            S("send", send(fd, p, 10, 0));
            S("sendto", sendto(fd, p, 10, 0, NULL, 0));
            struct iovec v = { p, 10 };
            S("writev base", writev(fd, &v, 1));
            S("writev vector", writev(fd, (struct iovec *)p, 1));
            struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
            S("sendmsg base", sendmsg(fd, &m, 0));
            m.msg_iov = (struct iovec *)p;
            S("sendmsg vector", sendmsg(fd, &m, 0));
            S("sendmsg header", sendmsg(fd, (struct msghdr *)p, 0));
            S("sendmmsg headers", sendmmsg(fd, (struct mmsghdr *)p, 1, 0));
            struct iovec good = { b, 0 };
            m = (struct msghdr){ .msg_iov = &good, .msg_iovlen = 1, .msg_control = p, .msg_controllen = 32 };
            S("sendmsg control", sendmsg(fd, &m, 0));
            m = (struct msghdr){ .msg_iov = &good, .msg_iovlen = 1, .msg_name = p, .msg_namelen = 16 };
            S("sendmsg name", sendmsg(fd, &m, 0));
            S("sendto address", sendto(fd, b, 0, 0, (struct sockaddr *)p, 16));
            S("write 0", write(fd, p, 0));
            S("send 0", send(fd, p, 0, 0));
            S("pwritev2", pwritev2(fd, (struct iovec *)p, 1, -1, 0));
        }
        if (write(fd, "0123456789", 10) != 10)
            perror("write");
        await(fd, POLLIN);
        struct iovec v = { p, 10 };
        struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
        S("read", read(fd, p, 10));
        S("recv", recv(fd, p, 10, 0));
        S("recv peek", recv(fd, p, 10, MSG_PEEK));
        S("recvfrom", recvfrom(fd, p, 10, 0, NULL, NULL));
        S("readv base", readv(fd, &v, 1));
        S("readv vector", readv(fd, (struct iovec *)(p == readonly ? NULL : p), 1));
        S("recvmsg base", recvmsg(fd, &m, 0));
        m.msg_iov = (struct iovec *)(p == readonly ? NULL : p);
        S("recvmsg vector", recvmsg(fd, &m, MSG_DONTWAIT));
        S("recvmsg header", recvmsg(fd, (struct msghdr *)(p == readonly ? NULL : p), MSG_DONTWAIT));
        S("recvmmsg headers", recvmmsg(fd, (struct mmsghdr *)(p == readonly ? NULL : p), 1, MSG_DONTWAIT, NULL));
        S("read 0", read(fd, p, 0));
        S("recv 0", recv(fd, p, 0, 0));
        S("preadv2", preadv2(fd, (struct iovec *)(p == readonly ? NULL : p), 1, -1, 0));
        S("the data is still there", recv(fd, b, sizeof b, 0));
    }
    close(fd);

    /* What lies on the page that is there counts, what lies behind it not; and a receive that fits before the edge succeeds whatever the length says. */
    fd = dial('e');
    memset(edge - 16, 'x', 16);
    T("write up to the edge", write(fd, edge - 16, 16));
    await(fd, POLLIN);
    T("read up to the edge", read(fd, edge - 16, 16));
    T("write over the edge", write(fd, edge - 16, 32));
    T("write 16", write(fd, "0123456789abcdef", 16));
    await(fd, POLLIN);
    T("read over the edge, data before it", read(fd, edge - 16, 4000));
    T("write 32", write(fd, "0123456789abcdef0123456789abcdef", 32));
    await(fd, POLLIN);
    T("read over the edge", read(fd, edge - 16, 4000));
    T("read where there is room", read(fd, b, 64));
    struct iovec two[2] = { { b, 4 }, { unmapped, 4 } };
    T("writev good, bad", writev(fd, two, 2) <= 0 ? -1 : 4);
    while (recv(fd, b, sizeof b, MSG_DONTWAIT) > 0)
        ;
    T("recvmsg readonly header", ({
        struct iovec v = { b, 4 };
        struct msghdr *m = (struct msghdr *)(readonly + 64);
        mprotect(readonly, 4096, PROT_READ | PROT_WRITE);
        *m = (struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 };
        mprotect(readonly, 4096, PROT_READ);
        int other = dial('t');
        await(other, POLLIN);
        long r = recvmsg(other, m, 0);
        int e = errno;
        close(other);
        errno = e;
        r;
    }));
    close(fd);
}

static void pointers_control(void)
{
    struct { const char *name; char *p; } bad[] = { { "null", NULL }, { "one", (char *)1 }, { "unmapped", unmapped }, { "kernel", kernel }, { "beyond", beyond },
        { "noncanonical", noncanonical }, { "edge", edge }, { "readonly", readonly } };
    int l = listening(), c = dial('e');
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        char what[100];
        char *p = bad[i].p;
        int fd = fresh(), one = 1;
        socklen_t n = sizeof(struct sockaddr_in);
        char b[64];
        if (p != readonly) {
            S("bind", bind(fd, (struct sockaddr *)p, 16));
            S("connect", connect(fd, (struct sockaddr *)p, 16));
            S("setsockopt", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, p, 4));
            S("setsockopt congestion", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, p, 4));
            S("setsockopt timeout", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, p, 16));
            S("setsockopt linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, p, 8));
        }
        S("getsockname", getsockname(l, (struct sockaddr *)p, &n));
        S("getsockname length", getsockname(l, (struct sockaddr *)b, (socklen_t *)p));
        S("getsockname fresh", getsockname(fd, (struct sockaddr *)p, &n));
        S("getpeername", getpeername(c, (struct sockaddr *)p, &n));
        S("getpeername length", getpeername(c, (struct sockaddr *)b, (socklen_t *)p));
        S("getpeername fresh", getpeername(fd, (struct sockaddr *)p, &n));
        n = 4;
        S("getsockopt", getsockopt(c, SOL_SOCKET, SO_KEEPALIVE, p, &n));
        S("getsockopt length", getsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &one, (socklen_t *)p));
        S("getsockopt error", getsockopt(c, SOL_SOCKET, SO_ERROR, p, &n));
        S("getsockopt acceptconn", getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, p, &n));
        n = 104;
        S("getsockopt info", getsockopt(c, IPPROTO_TCP, TCP_INFO, p, &n));
        S("getsockopt info length", getsockopt(c, IPPROTO_TCP, TCP_INFO, b, (socklen_t *)p));
        S("FIONREAD", ioctl(c, FIONREAD, p));
        S("TIOCOUTQ", ioctl(c, TIOCOUTQ, p));
        if (p != readonly) {
            S("FIONBIO", ioctl(c, FIONBIO, p));
        }
        n = 16;
        int a = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        S("accept nobody", ({ fcntl(l, F_SETFL, O_NONBLOCK); accept(l, (struct sockaddr *)p, &n); }));
        close(a);
        close(fd);
    }
    close(l);
    close(c);
}

static void lengths(void)
{
    int fd = dial('e');
    char b[64] = { 0 };
    struct iovec v[1025];
    for (int i = 0; i < 1025; i++)
        v[i] = (struct iovec){ b, 0 };
    T("writev 0", writev(fd, v, 0));
    T("writev -1", writev(fd, v, -1));
    T("writev INT_MIN", writev(fd, v, INT_MIN));
    T("writev 1024 empty", writev(fd, v, 1024));
    T("writev 1025", writev(fd, v, 1025));
    T("writev null 0", writev(fd, NULL, 0));
    T("readv -1", readv(fd, v, -1));
    T("readv 1025", readv(fd, v, 1025));
    T("readv 0", readv(fd, v, 0));
    v[0] = (struct iovec){ b, (size_t)-1 };
    T("writev length -1", writev(fd, v, 1));
    T("readv length -1", readv(fd, v, 1));
    v[0] = (struct iovec){ b, (size_t)SSIZE_MAX + 1 };
    T("writev length SSIZE_MAX+1", writev(fd, v, 1));
    v[0] = (struct iovec){ b, 10 };
    v[1] = (struct iovec){ b, (size_t)-20 };
    T("writev lengths overflow", writev(fd, v, 2));
    struct msghdr m = { .msg_iov = v, .msg_iovlen = 1025 };
    T("sendmsg 1025", sendmsg(fd, &m, 0));
    T("recvmsg 1025", recvmsg(fd, &m, MSG_DONTWAIT));
    m.msg_iovlen = (size_t)-1;
    T("sendmsg iovlen -1", sendmsg(fd, &m, 0));
    m = (struct msghdr){ .msg_iov = v + 2, .msg_iovlen = 1, .msg_name = &server, .msg_namelen = (socklen_t)-1 };
    T("sendmsg namelen -1", sendmsg(fd, &m, 0));
    m.msg_namelen = 129;
    T("sendmsg namelen 129", sendmsg(fd, &m, 0));
    m.msg_namelen = 1;
    T("sendmsg namelen 1", sendmsg(fd, &m, 0));
    T("recvmsg namelen -1", ({ m.msg_namelen = (socklen_t)-1; recvmsg(fd, &m, MSG_DONTWAIT); }));
    m = (struct msghdr){ .msg_iov = v + 2, .msg_iovlen = 1, .msg_control = b, .msg_controllen = (size_t)INT_MAX + 1 };
    T("sendmsg controllen INT_MAX+1", sendmsg(fd, &m, 0));
    m.msg_controllen = INT_MAX;
    T("sendmsg controllen INT_MAX", sendmsg(fd, &m, 0));
    m.msg_controllen = 4;
    T("sendmsg controllen 4", sendmsg(fd, &m, 0));
    m = (struct msghdr){ .msg_iov = NULL, .msg_iovlen = 0 };
    T("sendmsg nothing", sendmsg(fd, &m, 0));
    T("recvmsg nothing", recvmsg(fd, &m, MSG_DONTWAIT));
    T("sendto addrlen -1", sendto(fd, b, 0, 0, (struct sockaddr *)&server, (socklen_t)-1));
    T("sendto addrlen 129", sendto(fd, b, 0, 0, (struct sockaddr *)&server, 129));
    T("sendto addrlen 1", sendto(fd, b, 0, 0, (struct sockaddr *)&server, 1));
    T("sendto a connected socket, another address", ({ struct sockaddr_in o = server; o.sin_port = 1; sendto(fd, b, 0, 0, (struct sockaddr *)&o, sizeof o); }));
    T("sendto null, length 16", sendto(fd, b, 0, 0, NULL, 16));
    T("recvfrom null length", recvfrom(fd, b, 0, MSG_DONTWAIT, (struct sockaddr *)&server, NULL));
    T("sendmmsg 0", sendmmsg(fd, NULL, 0, 0));
    T("recvmmsg 0", recvmmsg(fd, NULL, 0, 0, NULL));
    struct timespec wrong = { -1, 0 }, wrong2 = { 0, 1000000000 };
    struct mmsghdr mm = { .msg_hdr = { .msg_iov = v + 2, .msg_iovlen = 1 } };
    T("recvmmsg timeout -1", recvmmsg(fd, &mm, 1, MSG_DONTWAIT, &wrong));
    T("recvmmsg timeout 1e9 ns", recvmmsg(fd, &mm, 1, MSG_DONTWAIT, &wrong2));
    T("write SIZE_MAX from the edge", write(fd, edge, SIZE_MAX));
    T("send SIZE_MAX kernel", send(fd, kernel, SIZE_MAX, 0));
    T("write 0", write(fd, b, 0));
    T("read 0", read(fd, b, 0));
    T("recv 0 nothing there", recv(fd, b, 0, MSG_DONTWAIT));
    close(fd);

    int f = fresh();
    char name[200] = { 0 };
    struct sockaddr_in *in = (struct sockaddr_in *)name;
    in->sin_family = AF_INET;
    for (int n = -1; n <= 17; n++) {
        char what[64];
        int x = fresh();
        snprintf(what, sizeof what, "bind length %d", n);
        T(what, bind(x, (struct sockaddr *)name, (socklen_t)n));
        close(x);
    }
    for (int n = -1; n <= 15; n++) {
        char what[64];
        int x = fresh();
        snprintf(what, sizeof what, "connect length %d", n);
        T(what, connect(x, (struct sockaddr *)name, (socklen_t)n));
        close(x);
    }
    T("bind length 129", bind(f, (struct sockaddr *)name, 129));
    T("bind length 128", bind(f, (struct sockaddr *)name, 128));
    close(f);
    f = socket(AF_INET6, SOCK_STREAM, 0);
    in->sin_family = AF_INET6;
    T("bind v6 length 16", bind(f, (struct sockaddr *)name, 16));
    T("bind v6 length 23", bind(f, (struct sockaddr *)name, 23));
    T("connect v6 length 16", connect(f, (struct sockaddr *)name, 16));
    T("bind v6 length 24", bind(f, (struct sockaddr *)name, 24));
    close(f);

    int l = listening();
    for (int n = -1; n <= 20; n++) {
        char what[64];
        struct { char text[40]; } out;
        memset(&out, 'x', sizeof out);
        socklen_t have = (socklen_t)n;
        snprintf(what, sizeof what, "getsockname length %d", n);
        T(what, getsockname(l, (struct sockaddr *)&out, &have));
        int untouched = 0;
        for (int i = 39; i >= 0 && out.text[i] == 'x'; i--)
            untouched++;
        printf("  length %d, %d bytes written\n", (int)have, 40 - untouched);
    }
    close(l);

    struct { const char *name; int level, option; } options[] = { { "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE }, { "SO_ERROR", SOL_SOCKET, SO_ERROR },
        { "SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN }, { "SO_LINGER", SOL_SOCKET, SO_LINGER }, { "SO_RCVTIMEO", SOL_SOCKET, SO_RCVTIMEO },
        { "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY }, { "TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG }, { "TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION },
        { "TCP_FASTOPEN", IPPROTO_TCP, TCP_FASTOPEN }, { "IP_TOS", IPPROTO_IP, IP_TOS }, { "IP_TTL", IPPROTO_IP, IP_TTL }, { "SO_TYPE", SOL_SOCKET, SO_TYPE } };
    int state[3] = { fresh(), dial('e'), listening() };
    const char *states[] = { "fresh", "connected", "listening" };
    for (int s = 0; s < 3; s++)
        for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
            for (int n = -1; n <= 20; n += n < 5 ? 1 : 5) {
                char what[100], out[64] = { 0 };
                socklen_t have = (socklen_t)n;
                snprintf(what, sizeof what, "getsockopt %s %s length %d", states[s], options[i].name, n);
                T(what, getsockopt(state[s], options[i].level, options[i].option, out, &have));
                printf("  length %d\n", (int)have);
            }
    for (int s = 0; s < 3; s++)
        for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
            for (int n = -1; n <= 9; n++) {
                char what[100];
                int value[5] = { 0 };
                if (options[i].option == TCP_FASTOPEN && options[i].level == IPPROTO_TCP)
                    continue;
                snprintf(what, sizeof what, "setsockopt %s %s length %d", states[s], options[i].name, n);
                T(what, setsockopt(state[s], options[i].level, options[i].option, value, (socklen_t)n));
            }
    T("setsockopt length INT_MIN", setsockopt(state[0], SOL_SOCKET, SO_KEEPALIVE, name, (socklen_t)INT_MIN));
    for (int s = 0; s < 3; s++)
        close(state[s]);

    /* All lengths of tcp_info. */
    int c = dial('e');
    for (int n = 0; n <= 300; n += 13) {
        char what[64], out[400];
        memset(out, 'x', sizeof out);
        socklen_t have = (socklen_t)n;
        snprintf(what, sizeof what, "TCP_INFO length %d", n);
        T(what, getsockopt(c, IPPROTO_TCP, TCP_INFO, out, &have));
        int written = 400;
        while (written > 0 && out[written - 1] == 'x')
            written--;
        printf("  length %d, written %s\n", (int)have, written <= (int)have ? "no more" : "more");
    }
    close(c);
}

static void descriptors(void)
{
    char b[16] = { 0 };
    int p[2], file = open("/proc/self/exe", O_RDONLY), ep = epoll_create1(0);
    if (pipe(p) != 0)
        perror("pipe");
    int closed = fresh();
    close(closed);
    struct { const char *name; int fd; } fds[] = { { "-1", -1 }, { "huge", INT_MAX }, { "closed", closed }, { "pipe", p[0] }, { "file", file }, { "epoll", ep } };
    struct sockaddr_in a = server;
    socklen_t n = sizeof a;
    int one = 1;
    struct iovec v = { b, 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
    struct mmsghdr mm = { .msg_hdr = m };
    for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++) {
        int fd = fds[i].fd;
        char what[100];
#define F(label, call) do { snprintf(what, sizeof what, "%s on %s", label, fds[i].name); T(what, call); } while (0)
        F("bind", bind(fd, (struct sockaddr *)&a, n));
        F("connect", connect(fd, (struct sockaddr *)&a, n));
        F("listen", listen(fd, 1));
        F("accept", accept(fd, NULL, NULL));
        F("accept4", accept4(fd, NULL, NULL, 0));
        F("shutdown", shutdown(fd, SHUT_RD));
        F("getsockname", getsockname(fd, (struct sockaddr *)&a, &n));
        F("getpeername", getpeername(fd, (struct sockaddr *)&a, &n));
        F("setsockopt", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, 4));
        F("getsockopt", getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, &n));
        F("send", send(fd, b, 1, 0));
        F("sendto", sendto(fd, b, 1, 0, (struct sockaddr *)&server, sizeof server));
        F("sendmsg", sendmsg(fd, &m, 0));
        F("sendmmsg", sendmmsg(fd, &mm, 1, 0));
        F("recv", recv(fd, b, 1, MSG_DONTWAIT));
        F("recvfrom", recvfrom(fd, b, 1, MSG_DONTWAIT, NULL, NULL));
        F("recvmsg", recvmsg(fd, &m, MSG_DONTWAIT));
        F("recvmmsg", recvmmsg(fd, &mm, 1, MSG_DONTWAIT, NULL));
        F("sockatmark", sockatmark(fd));
        if (fd < 0 || fd == INT_MAX || fd == closed) {
            F("read", read(fd, b, 1));
            F("write", write(fd, b, 1));
            F("readv", readv(fd, &v, 1));
            F("writev", writev(fd, &v, 1));
            F("close", close(fd));
            F("dup", dup(fd));
            F("dup2", dup2(fd, 100));
            F("fcntl", fcntl(fd, F_GETFL));
            F("FIONREAD", ioctl(fd, FIONREAD, &one));
            F("sendfile to", sendfile(fd, file, NULL, 1));
            F("sendfile from", sendfile(p[1], fd, NULL, 1));
        }
    }
    int s = dial('e');
    T("read at an offset", pread(s, b, 1, 0));
    T("write at an offset", pwrite(s, b, 1, 0));
    T("preadv", preadv(s, &v, 1, 0));
    T("pwritev", pwritev(s, &v, 1, 0));
    T("preadv2 offset 0", preadv2(s, &v, 1, 0, 0));
    T("pwritev2 offset 0", pwritev2(s, &v, 1, 0, 0));
    T("preadv2 nothing there", preadv2(s, &v, 1, -1, RWF_NOWAIT));
    T("preadv2 unknown flag", preadv2(s, &v, 1, -1, 0x40000000));
    T("pwritev2", pwritev2(s, &v, 1, -1, 0));
    await(s, POLLIN);
    T("preadv2", preadv2(s, &v, 1, -1, 0));
    T("lseek", lseek(s, 0, SEEK_SET));
    T("ftruncate", ftruncate(s, 0));
    T("fsync", fsync(s));
    T("fallocate", fallocate(s, 0, 0, 10));
    T("mmap", mmap(NULL, 4096, PROT_READ, MAP_SHARED, s, 0) == MAP_FAILED ? -1 : 0);
    T("copy_file_range to", copy_file_range(file, NULL, s, NULL, 10, 0));
    T("copy_file_range from", copy_file_range(s, NULL, file, NULL, 10, 0));
    T("sendfile from a socket", sendfile(s, s, NULL, 1));
    fcntl(s, F_SETFL, O_NONBLOCK);
    T("sendfile from a socket to a pipe", sendfile(p[1], s, NULL, 1));
    long moved = 0;
    T("sendfile from a pipe", ({ if (write(p[1], "p", 1) != 1) perror("pipe"); moved = sendfile(s, p[0], NULL, 1); }));
    while (fcntl(p[0], F_SETFL, O_NONBLOCK) == 0 && read(p[0], b, 16) > 0)
        ;
    fcntl(p[0], F_SETFL, 0);
    if (moved > 0)
        await(s, POLLIN);
    while (read(s, b, 16) > 0)
        ;
    fcntl(s, F_SETFL, 0);
    T("sendfile from a directory", ({ int d = open("/", O_RDONLY); long r = sendfile(s, d, NULL, 1); int e = errno; close(d); errno = e; r; }));
    T("sendfile from epoll", sendfile(s, ep, NULL, 1));
    T("sendfile from a write-only file", ({ int d = open("/dev/null", O_WRONLY); long r = sendfile(s, d, NULL, 1); int e = errno; close(d); errno = e; r; }));
    off_t off = -1;
    T("sendfile offset -1", sendfile(s, file, &off, 1));
    T("sendfile offset null pointer page", sendfile(s, file, (off_t *)unmapped, 1));
    T("sendfile offset readonly", sendfile(s, file, (off_t *)(readonly + 64), 0));
    T("sendfile 0", sendfile(s, file, NULL, 0));
    off = 1l << 40;
    T("sendfile beyond the end", sendfile(s, file, &off, 10));
    T("sendfile -1 bytes from beyond the end", sendfile(s, file, &off, (size_t)-1));
    T("splice socket to socket", splice(s, NULL, s, NULL, 1, 0));
    T("splice socket to file", splice(s, NULL, file, NULL, 1, 0));
    T("splice with an offset of a socket", splice(s, &off, p[1], NULL, 1, SPLICE_F_NONBLOCK));
    T("splice with an offset of a pipe", splice(p[0], &off, s, NULL, 1, SPLICE_F_NONBLOCK));
    T("splice unknown flag", splice(s, NULL, p[1], NULL, 1, 0x1000));
    T("splice 0", splice(s, NULL, p[1], NULL, 0, 0));
    T("splice into the reading end", splice(s, NULL, p[0], NULL, 1, 0));
    T("splice from the writing end", splice(p[1], NULL, s, NULL, 1, 0));
    T("splice nothing there", splice(p[0], NULL, s, NULL, 1, SPLICE_F_NONBLOCK));
    T("splice nothing there, socket", ({ fcntl(s, F_SETFL, O_NONBLOCK); splice(s, NULL, p[1], NULL, 1, 0); }));
    T("splice from a closed fd", splice(closed, NULL, s, NULL, 1, 0));
    T("splice to a closed fd", splice(s, NULL, closed, NULL, 1, 0));
    T("tee", tee(s, p[1], 1, 0));
    T("tee to", tee(p[0], s, 1, 0));
    T("vmsplice", vmsplice(s, &v, 1, 0));
    T("isfdtype", isfdtype(s, S_IFSOCK));
    T("isfdtype file", isfdtype(file, S_IFSOCK));
    struct stat st;
    T("fstat", fstat(s, &st));
    printf("  socket %d\n", S_ISSOCK(st.st_mode));
    T("F_GETFL", fcntl(s, F_GETFL));
    T("F_DUPFD -1", fcntl(s, F_DUPFD, -1));
    T("F_DUPFD huge", fcntl(s, F_DUPFD, INT_MAX));
    T("fcntl unknown", fcntl(s, 9999, 0));
    T("F_SETLK", ({ struct flock k = { .l_type = F_RDLCK }; fcntl(s, F_SETLK, &k); }));
    T("F_GETPIPE_SZ", fcntl(s, F_GETPIPE_SZ));
    T("flock", flock(s, 0x40000000));
    T("dup2 to -1", dup2(s, -1));
    T("dup2 to huge", dup2(s, INT_MAX));
    T("dup3 same", dup3(s, s, 0));
    T("dup3 unknown flag", dup3(s, 99, 1));
    T("close_range backwards", close_range(10, 5, 0));
    T("close_range unknown flag", close_range(500, 501, 64));
    T("epoll_ctl twice", ({ struct epoll_event e = { EPOLLIN, { 0 } }; epoll_ctl(ep, EPOLL_CTL_ADD, s, &e); epoll_ctl(ep, EPOLL_CTL_ADD, s, &e); }));
    close(s);
    close(file);
    close(ep);
    close(p[0]);
    close(p[1]);
}

static void families(void)
{
    T("socket family 9999", socket(9999, SOCK_STREAM, 0));
    T("socket type 9", socket(AF_INET, 9, 0));
    T("socket type 0", socket(AF_INET, 0, 0));
    T("socket protocol 9999", socket(AF_INET, SOCK_STREAM, 9999));
    T("socket protocol -1", socket(AF_INET, SOCK_STREAM, -1));
    T("socket stream udp", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    T("socket dgram tcp", socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    T("socket flags", socket(AF_INET, SOCK_STREAM | 0x100000, 0));
    int pair[2];
    T("socketpair inet", socketpair(AF_INET, SOCK_STREAM, 0, pair));
    T("socketpair unix null", socketpair(AF_UNIX, SOCK_STREAM, 0, NULL));

    struct sockaddr_storage ss;
    struct { const char *name; int family; } families[] = { { "UNSPEC", AF_UNSPEC }, { "UNIX", AF_UNIX }, { "INET", AF_INET }, { "INET6", AF_INET6 }, { "9999", 9999 } };
    for (int v6 = 0; v6 < 2; v6++)
        for (unsigned i = 0; i < sizeof families / sizeof *families; i++) {
            char what[100];
            memset(&ss, 0, sizeof ss);
            ss.ss_family = families[i].family;
            int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
            snprintf(what, sizeof what, "v%d bind family %s", v6 ? 6 : 4, families[i].name);
            T(what, bind(fd, (struct sockaddr *)&ss, sizeof(struct sockaddr_in6)));
            close(fd);
            fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
            struct sockaddr_in *in = (struct sockaddr_in *)&ss;
            in->sin_port = htons(1);
            inet_pton(AF_INET, "198.18.255.1", &in->sin_addr);
            if (families[i].family != AF_INET6 && !(families[i].family == AF_INET && !v6)) {
                snprintf(what, sizeof what, "v%d connect family %s", v6 ? 6 : 4, families[i].name);
                T(what, connect(fd, (struct sockaddr *)&ss, sizeof(struct sockaddr_in6)));
            }
            snprintf(what, sizeof what, "v%d sendto family %s", v6 ? 6 : 4, families[i].name);
            T(what, sendto(fd, "x", 1, 0, (struct sockaddr *)&ss, sizeof(struct sockaddr_in6)));
            close(fd);
        }
    int fd = fresh();
    memset(&ss, 0, sizeof ss);
    ss.ss_family = AF_UNSPEC;
    ((struct sockaddr_in *)&ss)->sin_addr.s_addr = htonl(0xC6120001);
    T("bind UNSPEC with an address", bind(fd, (struct sockaddr *)&ss, 16));
    ((struct sockaddr_in *)&ss)->sin_family = AF_INET;
    ((struct sockaddr_in *)&ss)->sin_addr.s_addr = htonl(0xC612FE01);
    T("bind a foreign address", bind(fd, (struct sockaddr *)&ss, 16));
    ((struct sockaddr_in *)&ss)->sin_addr.s_addr = htonl(0xE0000001);
    T("bind a multicast address", bind(fd, (struct sockaddr *)&ss, 16));
    ((struct sockaddr_in *)&ss)->sin_port = htons(80);
    T("connect to a multicast address", connect(fd, (struct sockaddr *)&ss, 16));
    ((struct sockaddr_in *)&ss)->sin_addr.s_addr = htonl(0xFFFFFFFF);
    T("connect to the broadcast address", connect(fd, (struct sockaddr *)&ss, 16));
    close(fd);
    fd = dial('e');
    ss.ss_family = AF_UNSPEC;
    T("disconnect", connect(fd, (struct sockaddr *)&ss, 16));
    T("send after disconnect", send(fd, "x", 1, 0));
    T("getpeername after disconnect", ({ socklen_t n = sizeof ss; getpeername(fd, (struct sockaddr *)&ss, &n); }));
    T("connect again", connect(fd, (struct sockaddr *)&server, sizeof server));
    T("send again", send(fd, "e", 1, 0));
    close(fd);
    fd = fresh();
    memset(&ss, 0, sizeof ss);
    T("disconnect a fresh socket", connect(fd, (struct sockaddr *)&ss, 16));
    T("and connect it", connect(fd, (struct sockaddr *)&server, sizeof server));
    close(fd);
}

static void one_state(const char *state, int (*make)(void))
{
    char what[100], b[64];
    struct sockaddr_in a, any = { .sin_family = AF_INET };
    socklen_t n = sizeof a;
    int fd;
#define ST(label, call) do { fd = make(); snprintf(what, sizeof what, "%s %s", state, label); T(what, call); close(fd); } while (0)
    ST("bind", bind(fd, (struct sockaddr *)&any, sizeof any));
    ST("listen", listen(fd, 1));
    ST("listen twice", ({ listen(fd, 1); listen(fd, 2); }));
    ST("listen -1", listen(fd, -1));
    ST("accept", ({ fcntl(fd, F_SETFL, O_NONBLOCK); accept(fd, (struct sockaddr *)&a, &n); }));
    ST("accept4 flags", ({ fcntl(fd, F_SETFL, O_NONBLOCK); accept4(fd, NULL, NULL, 1); }));
    if (make != connecting && make != fresh && make != bound) {
        ST("connect", connect(fd, (struct sockaddr *)&server, sizeof server));
    }
    ST("connect twice, non-blocking", ({ fcntl(fd, F_SETFL, O_NONBLOCK); struct sockaddr_in s = server; inet_pton(AF_INET, "198.18.255.253", &s.sin_addr);
        connect(fd, (struct sockaddr *)&s, sizeof s); connect(fd, (struct sockaddr *)&s, sizeof s); }));
    ST("send", send(fd, "x", 1, MSG_DONTWAIT));
    ST("send nosignal", send(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
    ST("send 0", send(fd, "x", 0, MSG_DONTWAIT));
    ST("write", ({ fcntl(fd, F_SETFL, O_NONBLOCK); write(fd, "x", 1); }));
    ST("sendto", sendto(fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&server, sizeof server));
    ST("sendfile", ({ fcntl(fd, F_SETFL, O_NONBLOCK); int f = open("/proc/self/exe", O_RDONLY); long r = sendfile(fd, f, NULL, 1); int e = errno; close(f); errno = e; r; }));
    ST("recv", recv(fd, b, sizeof b, MSG_DONTWAIT));
    ST("recv 0", recv(fd, b, 0, MSG_DONTWAIT));
    ST("recv peek", recv(fd, b, sizeof b, MSG_DONTWAIT | MSG_PEEK));
    ST("recv oob", recv(fd, b, sizeof b, MSG_DONTWAIT | MSG_OOB));
    ST("recv errqueue", recv(fd, b, sizeof b, MSG_DONTWAIT | MSG_ERRQUEUE));
    ST("recvfrom", recvfrom(fd, b, sizeof b, MSG_DONTWAIT, (struct sockaddr *)&a, &n));
    ST("read", ({ fcntl(fd, F_SETFL, O_NONBLOCK); read(fd, b, sizeof b); }));
    ST("splice from", ({ fcntl(fd, F_SETFL, O_NONBLOCK); int p[2]; if (pipe(p)) perror("pipe"); long r = splice(fd, NULL, p[1], NULL, 10, 0); int e = errno;
        close(p[0]); close(p[1]); errno = e; r; }));
    ST("splice to", ({ fcntl(fd, F_SETFL, O_NONBLOCK); int p[2]; if (pipe(p) || write(p[1], "x", 1) != 1) perror("pipe"); long r = splice(p[0], NULL, fd, NULL, 10, 0);
        int e = errno; close(p[0]); close(p[1]); errno = e; r; }));
    ST("shutdown RD", shutdown(fd, SHUT_RD));
    ST("shutdown WR", shutdown(fd, SHUT_WR));
    ST("shutdown RDWR", shutdown(fd, SHUT_RDWR));
    ST("shutdown 3", shutdown(fd, 3));
    ST("shutdown -1", shutdown(fd, -1));
    ST("shutdown WR twice", ({ shutdown(fd, SHUT_WR); shutdown(fd, SHUT_WR); }));
    ST("shutdown RD, recv", ({ shutdown(fd, SHUT_RD); recv(fd, b, sizeof b, MSG_DONTWAIT); }));
    ST("shutdown WR, send", ({ shutdown(fd, SHUT_WR); send(fd, "x", 1, MSG_DONTWAIT); }));
    ST("shutdown WR, send 0", ({ shutdown(fd, SHUT_WR); send(fd, "x", 0, MSG_DONTWAIT); }));
    ST("shutdown RDWR, listen", ({ shutdown(fd, SHUT_RDWR); listen(fd, 1); }));
    ST("getsockname", getsockname(fd, (struct sockaddr *)&a, &n));
    ST("getpeername", getpeername(fd, (struct sockaddr *)&a, &n));
    ST("SO_ERROR", ({ int e; socklen_t l = 4; long r = getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &l); r ? r : e; }));
    ST("SO_ERROR twice", ({ int e; socklen_t l = 4; getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &l); long r = getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &l); r ? r : e; }));
    ST("SO_ACCEPTCONN", ({ int e; socklen_t l = 4; long r = getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &e, &l); r ? r : e; }));
    ST("tcpi_state", ({ struct tcp_info i = { 0 }; socklen_t l = sizeof i; long r = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &l); r ? r : i.tcpi_state; }));
    ST("FIONREAD", ({ int x = -1; long r = ioctl(fd, FIONREAD, &x); r ? r : x; }));
    ST("TIOCOUTQ", ({ int x = -1; long r = ioctl(fd, TIOCOUTQ, &x); r ? r : x; }));
    ST("SIOCOUTQNSD", ({ int x = -1; long r = ioctl(fd, 0x894B, &x); r ? r : x; }));
    ST("sockatmark", sockatmark(fd));
    ST("poll", ({ struct pollfd p = { fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0 }; poll(&p, 1, 0) < 0 ? -1 : p.revents; }));
}

static int shut_write(void)
{
    int fd = dial('e');
    shutdown(fd, SHUT_WR);
    await(fd, POLLHUP);
    return fd;
}

static int connected(void) { return dial('n'); }

static void states(void)
{
    one_state("fresh", fresh);
    one_state("bound", bound);
    one_state("listening", listening);
    one_state("connecting", connecting);
    one_state("connected", connected);
    one_state("ended", ended);
    one_state("reset", reset);
    one_state("closing", shut_write);
}

static void more_states(void)
{
    char b[64];
    int fd = bound();
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    getsockname(fd, (struct sockaddr *)&a, &n);
    int other = fresh();
    T("bind a bound port", bind(other, (struct sockaddr *)&a, n));
    T("listen", listen(fd, 1));
    T("bind a listener's port", bind(other, (struct sockaddr *)&a, n));
    int one = 1;
    setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &one, 4);
    T("bind a listener's port, SO_REUSEADDR on one", bind(other, (struct sockaddr *)&a, n));
    close(fd);
    T("bind when it is gone", bind(other, (struct sockaddr *)&a, n));
    close(other);

    fd = reset();
    T("recv after reset", recv(fd, b, 1, 0));
    T("recv again", recv(fd, b, 1, 0));
    T("send after it", send(fd, "x", 1, 0));
    close(fd);
    fd = reset();
    T("send after reset", send(fd, "x", 1, 0));
    T("send again", send(fd, "x", 1, 0));
    T("recv after it", recv(fd, b, 1, 0));
    close(fd);
    fd = reset();
    T("SO_ERROR after reset", ({ int e; socklen_t l = 4; getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &l); e; }));
    T("recv after that", recv(fd, b, 1, 0));
    T("send after that", send(fd, "x", 1, 0));
    T("connect after that", ({ int r = connect(fd, (struct sockaddr *)&server, sizeof server); r; }));
    close(fd);

    int silent = fresh();
    struct sockaddr_in refused = server;
    refused.sin_port = htons(1);
    T("connect where nobody listens", connect(silent, (struct sockaddr *)&refused, sizeof refused));
    T("send after it", send(silent, "x", 1, 0));
    T("recv after it", recv(silent, b, 1, 0));
    T("and connect elsewhere", connect(silent, (struct sockaddr *)&server, sizeof server));
    T("send", send(silent, "e", 1, 0));
    close(silent);
    silent = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    T("non-blocking connect where nobody listens", connect(silent, (struct sockaddr *)&refused, sizeof refused));
    await(silent, POLLOUT);
    T("connect again", connect(silent, (struct sockaddr *)&refused, sizeof refused));
    T("SO_ERROR", ({ int e; socklen_t l = 4; await(silent, POLLOUT); getsockopt(silent, SOL_SOCKET, SO_ERROR, &e, &l); e; }));
    close(silent);

    fd = dial('t');
    await(fd, POLLIN);
    T("shutdown RD with data", shutdown(fd, SHUT_RD));
    T("recv what was there", recv(fd, b, sizeof b, 0));
    T("recv the end", recv(fd, b, sizeof b, 0));
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    signal(SIGPIPE, on_pipe);
    char *pages = mmap(NULL, 6 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pages, 'p', 6 * 4096);
    unmapped = pages;
    mprotect(unmapped, 4096, PROT_NONE);
    edge = pages + 2 * 4096;
    mprotect(edge, 4096, PROT_NONE);
    readonly = pages + 4 * 4096;
    mprotect(readonly, 4096, PROT_READ);
    struct { const char *name; void (*run)(void); } groups[] = { { "pointers_data", pointers_data }, { "pointers_control", pointers_control }, { "lengths", lengths },
        { "descriptors", descriptors }, { "families", families }, { "states", states }, { "more_states", more_states } };
    for (unsigned i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (argc > 3 && strcmp(argv[3], groups[i].name) != 0)
            continue;
        printf("== %s\n", groups[i].name);
        groups[i].run();
    }
    return 0;
}
