/* Flags, control messages and ioctls of stream sockets. Run natively and through NetKernel: the output must be the same, but for the rows that docs/compatibility.md calls
   refused. Prints "compat: area | call | result" rows.
   flags ADDRESS PORT: ADDRESS runs peer.py. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static struct sockaddr_in server;
static volatile sig_atomic_t alarms;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int start(int fd, char mode)
{
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0 || write(fd, &mode, 1) != 1)
        die("connect");
    return fd;
}

static int dial(char mode) { return start(socket(AF_INET, SOCK_STREAM, 0), mode); }

static void await(int fd, int bytes)
{
    for (int i = 0, n = 0; i < 20000 && n < bytes; i++) {
        ioctl(fd, FIONREAD, &n);
        usleep(1000);
    }
}

static void compat(const char *area, const char *call, long result)
{
    printf("compat: %s | %s | %s\n", area, call, result >= 0 ? "OK" : strerrorname_np(errno));
    fflush(stdout);
}

static void say(const char *what, long result)
{
    printf("%s: %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerrorname_np(errno) : "");
    fflush(stdout);
}

static void send_flags(void)
{
    struct { const char *name; int flag; } flags[] = { { "MSG_DONTWAIT", MSG_DONTWAIT }, { "MSG_NOSIGNAL", MSG_NOSIGNAL }, { "MSG_MORE", MSG_MORE }, { "MSG_EOR", MSG_EOR },
        { "MSG_OOB", MSG_OOB }, { "MSG_CONFIRM", MSG_CONFIRM }, { "MSG_DONTROUTE", MSG_DONTROUTE }, { "MSG_ZEROCOPY", 0x4000000 }, { "MSG_FASTOPEN", MSG_FASTOPEN },
        { "MSG_PEEK", MSG_PEEK }, { "MSG_WAITALL", MSG_WAITALL }, { "(unknown) 0x400000", 0x400000 } };
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        char what[64];
        int fd = dial('d');
        snprintf(what, sizeof what, "send %s", flags[i].name);
        compat("flags of streams", what, send(fd, "x", 1, flags[i].flag));
        close(fd);
    }
}

static void receive_flags(void)
{
    struct { const char *name; int flag; } flags[] = { { "MSG_DONTWAIT", MSG_DONTWAIT }, { "MSG_PEEK", MSG_PEEK }, { "MSG_WAITALL", MSG_WAITALL }, { "MSG_TRUNC", MSG_TRUNC },
        { "MSG_OOB, nothing urgent", MSG_OOB }, { "MSG_ERRQUEUE", MSG_ERRQUEUE }, { "MSG_CMSG_CLOEXEC", MSG_CMSG_CLOEXEC }, { "MSG_NOSIGNAL", MSG_NOSIGNAL }, { "(unknown) 0x400000", 0x400000 } };
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        char what[64], b[8];
        int fd = dial('t');
        await(fd, 10);
        snprintf(what, sizeof what, "recv %s", flags[i].name);
        compat("flags of streams", what, recv(fd, b, sizeof b, flags[i].flag));
        close(fd);
    }
}

static void ring(int s)
{
    (void)s;
    alarms++;
}

static void peeking(void)
{
    char b[64] = { 0 };
    int fd = dial('p');
    await(fd, 3);
    say("peek", recv(fd, b, 64, MSG_PEEK));
    say("peek again", recv(fd, b, 64, MSG_PEEK));
    say("peek one", recv(fd, b, 1, MSG_PEEK));
    if (write(fd, "+", 1) != 1)
        die("write");
    await(fd, 7);
    say("peek over the border of two pieces", recv(fd, b, 64, MSG_PEEK));
    say("peek six", recv(fd, b, 6, MSG_PEEK));
    say("recv two", recv(fd, b, 2, 0));
    say("peek the rest", recv(fd, b, 64, MSG_PEEK));
    printf("  %.5s\n", b);
    if (write(fd, "+", 1) != 1)
        die("write");
    say("peek, waiting for all of ten", recv(fd, b, 10, MSG_PEEK | MSG_WAITALL));
    say("discard four", recv(fd, NULL, 4, MSG_TRUNC));
    say("recv", recv(fd, b, 64, 0));
    printf("  %.6s\n", b);
    close(fd);

    fd = dial('f');
    say("wait for all, but the end comes", recv(fd, b, 64, MSG_WAITALL));
    say("and nothing follows", recv(fd, b, 64, MSG_WAITALL));
    close(fd);

    fd = dial('t');
    struct timeval brief = { 0, 200000 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief);
    say("wait for all, but the time is over", recv(fd, b, 64, MSG_WAITALL));
    say("and over again", recv(fd, b, 64, MSG_WAITALL));
    close(fd);

    fd = dial('t');
    struct sigaction a = { .sa_handler = ring };
    struct itimerval soon = { .it_value = { 0, 300000 } };
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    say("wait for all, but a signal comes", recv(fd, b, 64, MSG_WAITALL));
    setitimer(ITIMER_REAL, &soon, NULL);
    say("nothing there, and a signal comes", recv(fd, b, 64, MSG_WAITALL));
    say("alarms", alarms);
    close(fd);
}

/* TCP_INQ: how much is left, with every message. */
static void say_left(int fd, int bytes, int room, int flags)
{
    char b[64], control[64];
    struct iovec v = { b, bytes };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room };
    ssize_t n = recvmsg(fd, &m, flags);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    printf("TCP_INQ: %zd, flags %x, control %d", n, m.msg_flags, (int)m.msg_controllen);
    if (n >= 0 && c && m.msg_controllen == CMSG_SPACE(4))
        printf(", level %d, type %d, left %d", c->cmsg_level, c->cmsg_type, *(int *)CMSG_DATA(c));
    printf("\n");
}

static void left_in_queue(void)
{
    int on = 1, fd = dial('f');
    struct pollfd p = { fd, POLLRDHUP, 0 };
    poll(&p, 1, 20000); /* ten bytes and the end are there */
    say("TCP_INQ", setsockopt(fd, IPPROTO_TCP, TCP_INQ, &on, sizeof on));
    say_left(fd, 3, 64, MSG_PEEK);
    say_left(fd, 3, 64, 0);
    say_left(fd, 2, 8, 0);
    say_left(fd, 2, 0, 0);
    say_left(fd, 3, 64, 0);
    say_left(fd, 3, 64, 0);
    close(fd);
    fd = dial('t');
    await(fd, 10);
    setsockopt(fd, IPPROTO_TCP, TCP_INQ, &on, sizeof on);
    say_left(fd, 9, 64, 0);
    say_left(fd, 9, 64, 0);
    say_left(fd, 9, 64, MSG_DONTWAIT);
    on = 0;
    say("TCP_INQ off", setsockopt(fd, IPPROTO_TCP, TCP_INQ, &on, sizeof on));
    say_left(fd, 9, 64, MSG_DONTWAIT);
    close(fd);
}

static void messages(void)
{
    char b[64], control[256];
    int fd = dial('t');
    await(fd, 10);
    struct sockaddr_in from;
    struct iovec v[3] = { { b, 3 }, { b + 3, 0 }, { b + 10, 20 } };
    struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = v, .msg_iovlen = 3, .msg_control = control, .msg_controllen = sizeof control, .msg_flags = -1 };
    say("recvmsg", recvmsg(fd, &m, MSG_CMSG_CLOEXEC));
    printf("  name %d, control %d, flags %x\n", (int)m.msg_namelen, (int)m.msg_controllen, m.msg_flags);
    socklen_t n = sizeof from;
    say("recvfrom, nothing there", recvfrom(fd, b, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &n));
    printf("  length %d\n", (int)n);
    close(fd);

    struct { const char *name; int level, type, size; } kinds[] = { { "IP_TOS", IPPROTO_IP, IP_TOS, 4 }, { "IP_PKTINFO", IPPROTO_IP, IP_PKTINFO, 12 },
        { "SCM_RIGHTS", SOL_SOCKET, SCM_RIGHTS, 4 }, { "SCM_CREDENTIALS", SOL_SOCKET, SCM_CREDENTIALS, 12 }, { "SO_MARK", SOL_SOCKET, SO_MARK, 4 },
        { "SO_TIMESTAMPING", SOL_SOCKET, SO_TIMESTAMPING, 4 }, { "SCM_TXTIME", SOL_SOCKET, SCM_TXTIME, 8 }, { "SOL_SOCKET 9999", SOL_SOCKET, 9999, 4 } };
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char what[64];
        fd = dial('d');
        memset(control, 0, sizeof control);
        m = (struct msghdr){ .msg_iov = v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(kinds[i].size) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = kinds[i].level;
        c->cmsg_type = kinds[i].type;
        c->cmsg_len = CMSG_LEN(kinds[i].size);
        snprintf(what, sizeof what, "sendmsg with %s", kinds[i].name);
        compat("flags of streams", what, sendmsg(fd, &m, 0));
        close(fd);
    }

    fd = dial('e');
    struct mmsghdr many[3] = { 0 };
    struct iovec parts[3] = { { "ab", 2 }, { "cde", 3 }, { "", 0 } };
    for (int i = 0; i < 3; i++)
        many[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
    say("sendmmsg", sendmmsg(fd, many, 3, 0));
    printf("  %u %u %u\n", many[0].msg_len, many[1].msg_len, many[2].msg_len);
    await(fd, 5);
    char in[3][2];
    for (int i = 0; i < 3; i++) {
        parts[i] = (struct iovec){ in[i], 2 };
        many[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
    }
    say("recvmmsg", recvmmsg(fd, many, 3, 0, NULL));
    printf("  %u %u %u\n", many[0].msg_len, many[1].msg_len, many[2].msg_len);
    if (write(fd, "x", 1) != 1)
        die("write");
    say("recvmmsg for one", recvmmsg(fd, many, 3, MSG_WAITFORONE, NULL));
    shutdown(fd, SHUT_WR);
    struct pollfd p = { fd, POLLIN, 0 };
    poll(&p, 1, 20000);
    say("recvmmsg at the end", recvmmsg(fd, many, 3, 0, NULL));
    close(fd);
}

static void ioctls(void)
{
    struct { const char *name; unsigned long request; } requests[] = { { "FIONREAD", FIONREAD }, { "SIOCOUTQ", SIOCOUTQ }, { "SIOCOUTQNSD", 0x894B }, { "SIOCATMARK", SIOCATMARK },
        { "FIONBIO", FIONBIO }, { "FIOASYNC", FIOASYNC }, { "FIOCLEX", FIOCLEX }, { "FIONCLEX", FIONCLEX }, { "SIOCGPGRP", SIOCGPGRP }, { "SIOCGSTAMP", 0x8906 }, { "TIOCGWINSZ", TIOCGWINSZ },
        { "TCGETS", 0x5401 }, { "(unknown)", 0x12345678 } };
    int fd = dial('t');
    await(fd, 10);
    for (unsigned i = 0; i < sizeof requests / sizeof *requests; i++) {
        char what[64];
        int value[64] = { 1 };
        snprintf(what, sizeof what, "ioctl %s", requests[i].name);
        compat("ioctls and fcntls of streams", what, ioctl(fd, requests[i].request, value));
    }
    int off = 0;
    ioctl(fd, FIOASYNC, &off);
    struct { const char *name; int command; long argument; } commands[] = { { "F_GETFL", F_GETFL, 0 }, { "F_SETFL O_NONBLOCK", F_SETFL, O_NONBLOCK }, { "F_SETFL O_ASYNC", F_SETFL, O_ASYNC },
        { "F_SETFL O_APPEND", F_SETFL, O_APPEND }, { "F_SETFL 0", F_SETFL, 0 }, { "F_GETFD", F_GETFD, 0 }, { "F_SETFD", F_SETFD, 1 }, { "F_DUPFD", F_DUPFD, 50 }, { "F_DUPFD_CLOEXEC", F_DUPFD_CLOEXEC, 50 },
        { "F_SETOWN", F_SETOWN, getpid() }, { "F_GETOWN", F_GETOWN, 0 }, { "F_SETSIG", F_SETSIG, SIGUSR1 }, { "F_GETSIG", F_GETSIG, 0 }, { "F_GETPIPE_SZ", F_GETPIPE_SZ, 0 },
        { "F_NOTIFY", F_NOTIFY, 1 }, { "F_ADD_SEALS", F_ADD_SEALS, 1 }, { "(unknown)", 9999, 0 } };
    for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
        char what[64];
        snprintf(what, sizeof what, "fcntl %s", commands[i].name);
        compat("ioctls and fcntls of streams", what, fcntl(fd, commands[i].command, commands[i].argument));
    }
    close(fd);

    /* The interfaces that the program sees have the address that its connections come from. */
    struct sockaddr_in own;
    socklen_t n = sizeof own;
    int found = 0, listed = 0;
    getsockname(fd = dial('t'), (struct sockaddr *)&own, &n);
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0)
        die("getifaddrs");
    for (struct ifaddrs *i = all; i; i = i->ifa_next)
        found |= i->ifa_addr && i->ifa_addr->sa_family == AF_INET && ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr == own.sin_addr.s_addr;
    struct ifreq names[32];
    struct ifconf list = { .ifc_len = sizeof names, .ifc_req = names };
    if (ioctl(fd, SIOCGIFCONF, &list) != 0)
        die("SIOCGIFCONF");
    for (unsigned i = 0; i < list.ifc_len / sizeof *names; i++)
        listed |= ((struct sockaddr_in *)&names[i].ifr_addr)->sin_addr.s_addr == own.sin_addr.s_addr;
    printf("own address in getifaddrs: %d, in SIOCGIFCONF: %d\n", found, listed);
    close(fd);
}

static void *feed(void *fd)
{
    char b[10000];
    memset(b, 'f', sizeof b);
    for (int i = 0; i < 100; i++)
        if (write(*(int *)fd, b, sizeof b) != sizeof b)
            die("pipe");
    close(*(int *)fd);
    return NULL;
}

static void splices(void)
{
    int p[2], q[2], fd = dial('e');
    char b[100];
    if (pipe(p) != 0 || pipe(q) != 0)
        die("pipe");
    if (write(p[1], "through a pipe", 14) != 14)
        die("write");
    say("splice into the socket", splice(p[0], NULL, fd, NULL, 100, 0));
    await(fd, 14);
    say("splice out of the socket", splice(fd, NULL, q[1], NULL, 100, 0));
    printf("  %.*s\n", (int)read(q[0], b, 100), b);
    say("splice, nothing in the pipe", splice(p[0], NULL, fd, NULL, 100, SPLICE_F_NONBLOCK));
    close(p[1]);
    say("splice from a closed pipe", splice(p[0], NULL, fd, NULL, 100, 0));
    close(p[0]);
    close(fd);

    /* A megabyte from a thread through a pipe, the connection, and back through a pipe of 64 KB. */
    fd = dial('d');
    if (pipe(p) != 0)
        die("pipe");
    pthread_t t;
    pthread_create(&t, NULL, feed, &p[1]);
    long total = 0;
    for (ssize_t n; (n = splice(p[0], NULL, fd, NULL, 1 << 20, SPLICE_F_MORE)) > 0;)
        total += n;
    pthread_join(t, NULL);
    shutdown(fd, SHUT_WR);
    int n = read(fd, b, sizeof b - 1);
    printf("spliced %ld, arrived %.*s", total, n > 0 ? n : 0, b);
    close(fd);

    fd = dial('b');
    int wanted = 1000000;
    if (write(fd, &wanted, 4) != 4)
        die("write");
    total = 0;
    long drained = 0, wrong = 0;
    for (ssize_t n; (n = splice(fd, NULL, q[1], NULL, 1 << 20, 0)) > 0;) {
        static unsigned char big[1 << 20];
        total += n;
        for (ssize_t r; drained < total; drained += r) {
            r = read(q[0], big, sizeof big);
            for (ssize_t i = 0; i < r; i++)
                wrong += big[i] != (unsigned char)(drained + i);
        }
    }
    printf("spliced out %ld, wrong bytes %ld\n", total, wrong);
    close(fd);

    fd = dial('t');
    await(fd, 10);
    say("sendfile from the socket into a pipe", sendfile(q[1], fd, NULL, 100));
    close(fd);

    close(q[0]);
    signal(SIGPIPE, SIG_IGN);
    fd = dial('t');
    await(fd, 10);
    say("splice into a pipe that nobody reads", splice(fd, NULL, q[1], NULL, 100, 0));
    say("the data is still there", recv(fd, b, sizeof b, 0));
    close(fd);
    close(q[1]);
}

static void files(void)
{
    char name[] = "flags-XXXXXX", b[200];
    int file = mkstemp(name), fd;
    unlink(name);
    static char block[65536];
    for (int i = 0; i < 1600; i++) { /* 100 MB */
        memset(block, i, sizeof block);
        if (write(file, block, sizeof block) != sizeof block)
            die("write");
    }
    off_t at = 0;
    long size = 1600L * 65536, sent = 0;
    fd = dial('d');
    while (sent < size) {
        ssize_t n = sendfile(fd, file, &at, size - sent);
        if (n <= 0)
            die("sendfile");
        sent += n;
    }
    shutdown(fd, SHUT_WR);
    int n = read(fd, b, sizeof b - 1);
    printf("sendfile %ld, offset %ld, position %ld, arrived %.*s", sent, (long)at, (long)lseek(file, 0, SEEK_CUR), n > 0 ? n : 0, b);
    close(fd);
    lseek(file, 65536 * 3 - 5, SEEK_SET);
    fd = dial('e');
    say("sendfile at the file's own position", sendfile(fd, file, NULL, 10));
    printf("  position %ld\n", (long)lseek(file, 0, SEEK_CUR));
    n = recv(fd, b, 10, MSG_WAITALL);
    printf("  %d %d\n", b[0], b[9]);
    close(fd);
    close(file);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    setvbuf(stdout, NULL, _IOLBF, 0);
    send_flags();
    receive_flags();
    peeking();
    messages();
    left_in_queue();
    ioctls();
    splices();
    files();
    return 0;
}
