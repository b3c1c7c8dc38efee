/* Rows of docs/compatibility.md for datagram sockets, waits, processes, names and effects of TCP options: "compat: area | call | result". OK: it had the effect that it should.
   groups ADDRESS PORT: ADDRESS runs peer.py. */
#define _GNU_SOURCE
#include <aio.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static struct sockaddr_in server;
static const char *self;

static void compat(const char *area, const char *call, long result)
{
    printf("compat: %s | %s | %s\n", area, call, result >= 0 ? "OK" : strerrorname_np(errno));
    fflush(stdout);
}

/* For what has no errno: OK, or what is wrong. */
static void effect(const char *area, const char *call, int right)
{
    printf("compat: %s | %s | %s\n", area, call, right ? "OK" : "wrong");
    fflush(stdout);
}

/* 1: OK, 0: it had no effect, -1: it failed. */
static void compat_fast(const char *area, const char *call, int result)
{
    if (result < 0)
        compat(area, call, -1);
    else
        effect(area, call, result);
}

static int dial(char mode)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&server, sizeof server) != 0 || write(fd, &mode, 1) != 1)
        perror("connect");
    return fd;
}

static void await(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    poll(&p, 1, 20000);
}

static void datagram_options(void)
{
    static const char *area = "options of datagram sockets";
    struct ip_mreq group = {{htonl(0xEFFF0001)}, {htonl(INADDR_LOOPBACK)}};
    struct ip_mreqn group_by_index = {{htonl(0xEFFF0001)}, {htonl(INADDR_LOOPBACK)}, 0};
    struct ip_mreq_source source = {{htonl(0xE8000001)}, {htonl(INADDR_LOOPBACK)}, {htonl(INADDR_LOOPBACK)}};
    struct ipv6_mreq group6 = {IN6ADDR_ANY_INIT, 1};
    group6.ipv6mr_multiaddr.s6_addr[0] = 0xFF;
    group6.ipv6mr_multiaddr.s6_addr[1] = 0x01;
    group6.ipv6mr_multiaddr.s6_addr[15] = 0x77;
    struct group_req any = {0};
    any.gr_interface = 1;
    memcpy(&any.gr_group, &(struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(0xEFFF0002)}}, sizeof(struct sockaddr_in));
    struct timeval time = {1, 0};
    struct in_addr interface = {htonl(INADDR_LOOPBACK)};
    int on = 1, size = 1200, none = 0, index = 1;
    unsigned char byte = 1;
    struct { const char *name; int domain, level, number; const void *value; socklen_t length; } options[] = {
#define INT(level, name, value) {#name, AF_INET, level, name, &value, sizeof value}
#define INT6(level, name, value) {#name, AF_INET6, level, name, &value, sizeof value}
        INT(SOL_SOCKET, SO_REUSEADDR, on), INT(SOL_SOCKET, SO_REUSEPORT, on), INT(SOL_SOCKET, SO_BROADCAST, on), INT(SOL_SOCKET, SO_SNDBUF, size), INT(SOL_SOCKET, SO_RCVBUF, size),
        INT(SOL_SOCKET, SO_RCVTIMEO, time), INT(SOL_SOCKET, SO_SNDTIMEO, time), INT(SOL_SOCKET, SO_TIMESTAMP, on), INT(SOL_SOCKET, SO_TIMESTAMPNS, on), INT(SOL_SOCKET, SO_TIMESTAMPING, none),
        INT(SOL_SOCKET, SO_PEEK_OFF, none), INT(SOL_SOCKET, SO_RXQ_OVFL, on), INT(SOL_SOCKET, SO_BUSY_POLL, on), INT(SOL_SOCKET, SO_PRIORITY, on), INT(SOL_SOCKET, SO_MARK, on),
        INT(SOL_SOCKET, SO_ZEROCOPY, on), INT(SOL_SOCKET, SO_NO_CHECK, on),
        INT(IPPROTO_IP, IP_TOS, on), INT(IPPROTO_IP, IP_TTL, on), INT(IPPROTO_IP, IP_PKTINFO, on), INT(IPPROTO_IP, IP_RECVTTL, on), INT(IPPROTO_IP, IP_RECVTOS, on), INT(IPPROTO_IP, IP_RECVERR, on),
        INT(IPPROTO_IP, IP_RECVORIGDSTADDR, on), INT(IPPROTO_IP, IP_RECVOPTS, on), INT(IPPROTO_IP, IP_RETOPTS, on), INT(IPPROTO_IP, IP_RECVFRAGSIZE, on), INT(IPPROTO_IP, IP_MTU_DISCOVER, on),
        INT(IPPROTO_IP, IP_FREEBIND, on), INT(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, on),
        INT(IPPROTO_IP, IP_ADD_MEMBERSHIP, group), {"IP_ADD_MEMBERSHIP, by an index", AF_INET, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group_by_index, sizeof group_by_index},
        INT(IPPROTO_IP, IP_DROP_MEMBERSHIP, group), INT(IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, source), INT(IPPROTO_IP, MCAST_JOIN_GROUP, any), INT(IPPROTO_IP, IP_MULTICAST_IF, interface),
        INT(IPPROTO_IP, IP_MULTICAST_TTL, byte), INT(IPPROTO_IP, IP_MULTICAST_LOOP, byte), INT(IPPROTO_IP, IP_MULTICAST_ALL, on),
        INT6(IPPROTO_IPV6, IPV6_V6ONLY, on), INT6(IPPROTO_IPV6, IPV6_UNICAST_HOPS, on), INT6(IPPROTO_IPV6, IPV6_TCLASS, on), INT6(IPPROTO_IPV6, IPV6_RECVPKTINFO, on),
        INT6(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, on), INT6(IPPROTO_IPV6, IPV6_RECVTCLASS, on), INT6(IPPROTO_IPV6, IPV6_RECVERR, on), INT6(IPPROTO_IPV6, IPV6_DONTFRAG, on),
        INT6(IPPROTO_IPV6, IPV6_JOIN_GROUP, group6), INT6(IPPROTO_IPV6, IPV6_LEAVE_GROUP, group6), INT6(IPPROTO_IPV6, IPV6_MULTICAST_IF, index), INT6(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, on),
        INT6(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, on),
        INT(IPPROTO_UDP, UDP_CORK, on), INT(IPPROTO_UDP, UDP_SEGMENT, size), INT(IPPROTO_UDP, UDP_GRO, on), INT(IPPROTO_UDP, UDP_ENCAP, none), INT(IPPROTO_UDP, UDP_NO_CHECK6_TX, on),
    };
    for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
        char what[80];
        int fd = socket(options[i].domain, SOCK_DGRAM, 0);
        snprintf(what, sizeof what, "setsockopt %s", options[i].name);
        compat(area, what, setsockopt(fd, options[i].level, options[i].number, options[i].value, options[i].length));
        close(fd);
    }
    struct { const char *name; int flag; } flags[] = {{"MSG_DONTWAIT", MSG_DONTWAIT}, {"MSG_NOSIGNAL", MSG_NOSIGNAL}, {"MSG_CONFIRM", MSG_CONFIRM}, {"MSG_EOR", MSG_EOR},
        {"MSG_MORE", MSG_MORE}, {"MSG_OOB", MSG_OOB}, {"MSG_DONTROUTE", MSG_DONTROUTE}};
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        char what[80];
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        snprintf(what, sizeof what, "sendto %s", flags[i].name);
        compat("flags of datagrams", what, sendto(fd, "x", 1, flags[i].flag, (void *)&server, sizeof server));
        close(fd);
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(0xEFFF0003)}};
    compat("flags of datagrams", "bind to a multicast group", bind(fd, (void *)&to, sizeof to));
    close(fd);
}

static void waits(void)
{
    static const char *area = "waits";
    int fd = dial('t'), quiet = dial('d');
    await(fd);
    struct timespec soon = {0, 1000000}, long_time = {20, 0};
    struct timeval time = {20, 0};
    struct pollfd p[2] = {{fd, POLLIN, 0}, {quiet, POLLIN | POLLOUT, 0}};
    effect(area, "poll", poll(p, 2, 20000) == 2 && p[0].revents == POLLIN && p[1].revents == POLLOUT);
    effect(area, "ppoll", ppoll(p, 1, &long_time, 0) == 1);
    p[1].events = POLLIN;
    effect(area, "poll, nothing in time", poll(p + 1, 1, 1) == 0);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    FD_SET(quiet, &set);
    effect(area, "select", select((fd > quiet ? fd : quiet) + 1, &set, 0, 0, &time) == 1 && FD_ISSET(fd, &set));
    FD_SET(quiet, &set);
    effect(area, "pselect", pselect((fd > quiet ? fd : quiet) + 1, &set, 0, 0, &long_time, 0) == 1);
    static const struct { const char *name; unsigned flags; int times, later; } modes[] = {{"level", 0, 3, 0}, {"EPOLLET", EPOLLET, 1, 0}, {"EPOLLONESHOT", EPOLLONESHOT, 1, 0},
        {"EPOLLEXCLUSIVE", EPOLLEXCLUSIVE, 3, 0}, {"EPOLLWAKEUP", EPOLLWAKEUP, 3, 0}};
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
        char what[80];
        int ep = epoll_create1(0), times = 0;
        struct epoll_event e = {EPOLLIN | modes[i].flags, {.u64 = 42}}, got;
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
        for (int k = 0; k < 3; k++)
            times += epoll_wait(ep, &got, 1, 0) == 1 && got.events == EPOLLIN && got.data.u64 == 42;
        snprintf(what, sizeof what, "epoll_wait, %s", modes[i].name);
        effect(area, what, times == modes[i].times);
        close(ep);
    }
    int ep = epoll_create1(0), outer = epoll_create1(0);
    struct epoll_event e = {EPOLLIN, {.u64 = 1}}, got;
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    epoll_ctl(outer, EPOLL_CTL_ADD, ep, &e);
    effect(area, "epoll sets within sets", epoll_wait(outer, &got, 1, 20000) == 1);
    effect(area, "epoll_pwait2", epoll_pwait2(ep, &got, 1, &soon, 0) == 1);
    effect(area, "poll of an epoll set", poll(&(struct pollfd){ep, POLLIN, 0}, 1, 20000) == 1);
    e.events = EPOLLOUT;
    effect(area, "EPOLL_CTL_MOD", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e) == 0 && epoll_wait(ep, &got, 1, 0) == 1 && got.events == EPOLLOUT);
    effect(area, "EPOLL_CTL_DEL", epoll_ctl(ep, EPOLL_CTL_DEL, fd, &e) == 0 && epoll_wait(ep, &got, 1, 0) == 0);
    compat(area, "SIGIO (fcntl O_ASYNC)", fcntl(fd, F_SETFL, O_ASYNC));
    close(ep);
    close(outer);
    close(fd);
    close(quiet);
}

/* Whether a connection of the echoing kind works. */
static int alive(int fd)
{
    char b[4] = "";
    return write(fd, "ping", 4) == 4 && recv(fd, b, 4, MSG_WAITALL) == 4 && memcmp(b, "ping", 4) == 0;
}

static int reap(int pid)
{
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void processes(void)
{
    static const char *area = "processes";
    int fd = dial('e'), pid = fork();
    if (pid == 0)
        _exit(alive(fd) ? 5 : 6);
    effect(area, "fork: the child uses its parent's socket", reap(pid) == 5 && alive(fd));
    pid = fork();
    if (pid == 0) {
        int own = dial('e');
        _exit(alive(own) ? 5 : 6);
    }
    effect(area, "fork: the child makes its own", reap(pid) == 5);
    char number[16], *arguments[] = {(char *)self, "inherited", number, 0};
    snprintf(number, sizeof number, "%d", fd);
    pid = fork();
    if (pid == 0) {
        execv(self, arguments);
        _exit(7);
    }
    effect(area, "execve: an inherited socket", reap(pid) == 5 && alive(fd));
    pid = vfork();
    if (pid == 0) {
        execv(self, arguments);
        _exit(7);
    }
    effect(area, "vfork and execve", reap(pid) == 5 && alive(fd));
    pid_t spawned = -1;
    effect(area, "posix_spawn", posix_spawn(&spawned, self, 0, 0, arguments, environ) == 0 && reap(spawned) == 5 && alive(fd));
    int copy = dup(fd);
    close(fd);
    effect(area, "dup: the socket lives with its last fd", alive(copy));
    effect(area, "dup2 onto another number", dup2(copy, 77) == 77 && close(copy) == 0 && alive(77));
    int pair[2], got = -1;
    char control[CMSG_SPACE(sizeof(int))] = "", byte = 'x';
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    *(int *)CMSG_DATA(c) = 77;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && sendmsg(pair[0], &m, 0) == 1 && close(77) == 0 && recvmsg(pair[1], &m, 0) == 1)
        got = *(int *)CMSG_DATA(CMSG_FIRSTHDR(&m));
    effect(area, "SCM_RIGHTS: a socket over AF_UNIX", got >= 0 && alive(got));
    close(pair[0]);
    close(pair[1]);
    FILE *f = fdopen(got, "r+");
    char line[8] = "";
    effect(area, "fdopen, fprintf, fgets", f && fprintf(f, "line\n") == 5 && fflush(f) == 0 && fgets(line, sizeof line, f) && strcmp(line, "line\n") == 0);
    fclose(f);
    pid = fork();
    if (pid == 0) {
        fd = dial('e');
        dup2(fd, 3);
        closefrom(4);
        int own = dial('e');
        _exit(alive(3) && own == 4 && alive(own) ? 5 : 6);
    }
    effect(area, "closefrom", reap(pid) == 5);
}

static void names(void)
{
    static const char *area = "names";
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found = 0;
    char host[64], service[16];
    effect(area, "getaddrinfo, a number", getaddrinfo("198.18.0.7", "80", &hints, &found) == 0 && found && ((struct sockaddr_in *)found->ai_addr)->sin_addr.s_addr == htonl(0xC6120007));
    freeaddrinfo(found);
    found = 0;
    hints.ai_flags = 0;
    effect(area, "getaddrinfo, /etc/hosts", getaddrinfo("localhost", "http", &hints, &found) == 0 && found && ((struct sockaddr_in *)found->ai_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    freeaddrinfo(found);
    effect(area, "getnameinfo, numbers", getnameinfo((void *)&server, sizeof server, host, sizeof host, service, sizeof service, NI_NUMERICHOST | NI_NUMERICSERV) == 0
        && atoi(service) == ntohs(server.sin_port));
    struct hostent *h = gethostbyname("localhost");
    effect(area, "gethostbyname, /etc/hosts", h && h->h_addrtype == AF_INET && *(unsigned *)h->h_addr_list[0] == htonl(INADDR_LOOPBACK));
}

static void set(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof value) != 0)
        perror("setsockopt");
}

/* What the peer says, up to its newline. */
static const char *answer(int fd)
{
    static char b[32];
    int n = 0;
    while (n < 31 && read(fd, b + n, 1) == 1 && b[n] != '\n')
        n++;
    b[n] = 0;
    return b;
}

static void tcp_effects(void)
{
    static const char *area = "effects of TCP options";
    int fd = dial('K');
    if (write(fd, "\3", 1) != 1)
        perror("write");
    effect(area, "without SO_KEEPALIVE an idle connection is silent", strcmp(answer(fd), "silent") == 0);
    close(fd);
    fd = dial('K');
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    if (write(fd, "\36", 1) != 1)
        perror("write");
    effect(area, "SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL: the peer gets probes in time", strcmp(answer(fd), "probed") == 0);
    close(fd);

    static char b[65536];
    struct pollfd p = {dial('n'), 0, 0};
    set(p.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
    fcntl(p.fd, F_SETFL, O_NONBLOCK);
    for (int quiet = 0; quiet < 20; quiet++) {
        while (write(p.fd, b, sizeof b) > 0)
            quiet = 0;
        usleep(10000);
    }
    int error = 0;
    socklen_t length = sizeof error;
    effect(area, "TCP_USER_TIMEOUT: a peer that takes nothing ends the connection with ETIMEDOUT", poll(&p, 1, 30000) == 1 && (p.revents & POLLERR) != 0
        && getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == ETIMEDOUT);
    close(p.fd);

    struct sockaddr_in any = {.sin_family = AF_INET};
    length = sizeof any;
    struct pollfd l = {socket(AF_INET, SOCK_STREAM, 0), POLLIN, 0};
    set(l.fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 30);
    if (bind(l.fd, (void *)&any, sizeof any) != 0 || listen(l.fd, 5) != 0 || getsockname(l.fd, (void *)&any, &length) != 0)
        perror("listen");
    fd = dial('q');
    if (write(fd, &any.sin_port, 2) != 2 || read(fd, b, 1) != 1)
        perror("peer");
    int before = poll(&l, 1, 300);
    if (write(fd, "+", 1) != 1)
        perror("write");
    int after = poll(&l, 1, 20000), accepted = accept(l.fd, 0, 0);
    effect(area, "TCP_DEFER_ACCEPT: accept gives a connection whose data can be read", before == 0 && after == 1 && recv(accepted, b, 10, MSG_DONTWAIT) > 0);
    close(accepted);
    close(l.fd);
    close(fd);
}

/* Whether data in a SYN, sent or received, was taken. */
static int by_syn(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && (info.tcpi_options & TCPI_OPT_SYN_DATA) != 0;
}

/* The first connection gets a cookie, the others use it. The peer echoes: with the answer the SYN's data has been acknowledged. */
static int opens_fast(int (*open_and_send)(int fd))
{
    char b[6];
    int fast = 0;
    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (open_and_send(fd) != 0 || recv(fd, b, 5, MSG_WAITALL) != 5 || memcmp(b, "hello", 5) != 0)
            return -1;
        fast = by_syn(fd);
        close(fd);
    }
    return fast;
}

static int by_option(int fd)
{
    int on = 1;
    return setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) != 0 || connect(fd, (void *)&server, sizeof server) != 0
        || send(fd, "ehello", 6, 0) != 6;
}

static int by_flag(int fd)
{
    return sendto(fd, "ehello", 6, MSG_FASTOPEN, (void *)&server, sizeof server) != 6;
}

/* Not blocking: EINPROGRESS, or all of it is sent. */
static int by_flag_at_once(int fd)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ssize_t n = sendto(fd, "ehello", 6, MSG_FASTOPEN, (void *)&server, sizeof server);
    if (n != 6 && errno != EINPROGRESS)
        return -1;
    struct pollfd p = {fd, POLLOUT, 0};
    poll(&p, 1, 20000);
    fcntl(fd, F_SETFL, 0);
    return n != 6 && send(fd, "ehello", 6, 0) != 6;
}

static void fast_effects(void)
{
    static const char *area = "effects of TCP options";
    compat_fast(area, "TCP_FASTOPEN_CONNECT: data goes in the SYN", opens_fast(by_option));
    compat_fast(area, "MSG_FASTOPEN: data goes in the SYN", opens_fast(by_flag));
    compat_fast(area, "MSG_FASTOPEN without blocking: data goes in the SYN", opens_fast(by_flag_at_once));

    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t length = sizeof any;
    int l = socket(AF_INET, SOCK_STREAM, 0), fast = 0;
    set(l, IPPROTO_TCP, TCP_FASTOPEN, 5);
    if (bind(l, (void *)&any, sizeof any) != 0 || listen(l, 5) != 0 || getsockname(l, (void *)&any, &length) != 0)
        perror("listen");
    int fd = dial('o');
    if (write(fd, &any.sin_port, 2) != 2)
        perror("write");
    for (int i = 0; i < 2; i++) {
        char b[10];
        int c = accept(l, 0, 0);
        if (recv(c, b, 10, MSG_WAITALL) != 10)
            perror("recv");
        fast = by_syn(c);
        if (write(fd, "+", 1) != 1)
            perror("write");
        close(c);
    }
    compat_fast(area, "TCP_FASTOPEN: a listener takes data in a SYN", fast);
    close(l);
    close(fd);
}

static int asynchronous(struct aiocb *request, int (*start)(struct aiocb *))
{
    const struct aiocb *list[1] = {request};
    if (start(request) != 0)
        return -1;
    while (aio_error(request) == EINPROGRESS)
        aio_suspend(list, 1, 0);
    errno = aio_error(request);
    return aio_return(request) == 5 ? 0 : -1;
}

static void asynchronous_io(void)
{
    static const char *area = "POSIX asynchronous I/O";
    char b[6] = "", f[6] = "";
    int fd = dial('e'), file = memfd_create("aio", 0);
    struct aiocb put = {.aio_fildes = fd, .aio_buf = "hello", .aio_nbytes = 5, .aio_lio_opcode = LIO_WRITE};
    struct aiocb get = {.aio_fildes = fd, .aio_buf = b, .aio_nbytes = 5, .aio_lio_opcode = LIO_READ};
    struct aiocb other = {.aio_fildes = file, .aio_buf = "hello", .aio_nbytes = 5, .aio_lio_opcode = LIO_WRITE};
    compat(area, "aio_write on a socket", asynchronous(&put, aio_write));
    if (aio_error(&put) != 0 && send(fd, "hello", 5, 0) != 5)
        perror("send");
    await(fd);
    compat(area, "aio_read on a socket", asynchronous(&get, aio_read));
    effect(area, "aio_error and aio_return say the same", aio_error(&get) == 0 ? aio_return(&get) == 5 && memcmp(b, "hello", 5) == 0 : aio_return(&get) == -1);
    struct aiocb *list[3] = {&put, 0, &other};
    compat(area, "lio_listio with a socket in the list", lio_listio(LIO_WAIT, list, 3, 0));
    effect(area, "the files in such a list", aio_error(&other) == 0 && aio_return(&other) == 5 && pread(file, f, 5, 0) == 5 && memcmp(f, "hello", 5) == 0);
    other.aio_buf = f;
    compat(area, "aio_read of a file", asynchronous(&other, aio_read));
    close(file);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    if (strcmp(argv[1], "inherited") == 0)
        return alive(atoi(argv[2])) ? 5 : 6;
    alarm(100);
    self = argv[0];
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    tcp_effects();
    fast_effects();
    asynchronous_io();
    datagram_options();
    waits();
    processes();
    names();
    return 0;
}
