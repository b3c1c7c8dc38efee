/* Blocking socket calls under signals, cancellation, jumps, timeouts, and with other threads that shut down or close. Run natively and through NetKernel: the
   output must be the same. blocking ADDRESS PORT: where puppet.py serves. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in server;
static int control;

/* ---- the puppet ---- */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void say(const char *format, ...)
{
    char line[200];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (send(control, line, n, 0) != n)
        fail("say");
}

static const char *hear(void)
{
    static char line[200];
    int n = 0;
    while (n < 199 && recv(control, line + n, 1, 0) == 1 && line[n] != '\n')
        n++;
    line[n] = 0;
    return line;
}

static const char *ask(const char *format, ...)
{
    char line[200];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    say("%s", line);
    return hear();
}

/* A connection, and its number at the puppet. */
static int link_up(int *number)
{
    int fd = dial();
    char line[40];
    *number = atoi(ask("new\n"));
    int n = sprintf(line, "data %d\n", *number);
    if (send(fd, line, n, 0) != n)
        fail("data");
    ask("%d wait\n", *number);
    return fd;
}

static int listen_up(int *port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t n = sizeof any;
    if (bind(fd, (struct sockaddr *)&any, sizeof any) || listen(fd, 16) || getsockname(fd, (struct sockaddr *)&any, &n))
        fail("listen");
    *port = ntohs(any.sin_port);
    return fd;
}

static const char *own(void)
{
    static char text[40];
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    getsockname(control, (struct sockaddr *)&a, &n);
    inet_ntop(AF_INET, &a.sin_addr, text, sizeof text);
    return text;
}

/* ---- threads ---- */

enum what { RECV, PEEKALL, READV, RECVMSG, SEND, ACCEPT, POLL, POLLPIPE, SELECT, EPOLL, EPOLLPIPE, CONNECT, WHATS };
static const char *names[] = {"recv", "recv all", "readv", "recvmsg", "send", "accept", "poll", "poll with a pipe", "select", "epoll", "epoll with a pipe", "connect"};

struct job {
    pthread_t thread;
    volatile int tid;
    enum what what;
    int fd, pipe[2], ep, reading, number;
    long result;
    int error;
    volatile int cleaned, done;
};

/* A wait of the kind, on a socket where nothing happens. */
static void prepare(struct job *j, enum what what)
{
    memset(j, 0, sizeof *j);
    j->what = what;
    j->number = 0;
    j->ep = -1;
    if (pipe(j->pipe))
        fail("pipe");
    if (what == ACCEPT)
        j->fd = listen_up(&j->number);
    else if (what == CONNECT) {
        j->fd = socket(AF_INET, SOCK_STREAM, 0);
    } else
        j->fd = link_up(&j->number);
    if (what == SEND) {
        /* to the last byte, here and at the peer */
        char *block = calloc(1, 1 << 20);
        struct pollfd p = {j->fd, POLLOUT, 0};
        int room = 65536;
        setsockopt(j->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        do
            for (int size = 1 << 20; size; size >>= 2)
                while (send(j->fd, block, size, MSG_DONTWAIT) > 0)
                    ;
        while (poll(&p, 1, 300) == 1);
        free(block);
    }
    if (what == EPOLL || what == EPOLLPIPE) {
        struct epoll_event e = {.events = EPOLLIN};
        j->ep = epoll_create1(0);
        epoll_ctl(j->ep, EPOLL_CTL_ADD, j->fd, &e);
        if (what == EPOLLPIPE)
            epoll_ctl(j->ep, EPOLL_CTL_ADD, j->pipe[0], &e);
    }
}

static void finish(struct job *j)
{
    if (j->fd >= 0)
        close(j->fd);
    if (j->reading)
        hear();
    close(j->pipe[0]);
    close(j->pipe[1]);
    if (j->ep >= 0)
        close(j->ep);
}

static long call(struct job *j)
{
    static char block[1 << 20];
    static int nobodies;
    char c[16];
    struct iovec v = {c, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct pollfd p[2] = {{j->fd, POLLIN, 0}, {j->pipe[0], POLLIN, 0}};
    struct epoll_event e;
    fd_set set;
    struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xC612C800 + ++nobodies)}; /* 198.18.200.x: nobody answers, nor has yet been asked for */
    switch (j->what) {
    case RECV: return recv(j->fd, c, 1, 0);
    case PEEKALL: return recv(j->fd, c, 2, MSG_WAITALL);
    case READV: return readv(j->fd, &v, 1);
    case RECVMSG: return recvmsg(j->fd, &m, 0);
    case SEND: return send(j->fd, block, sizeof block, 0);
    case ACCEPT: return accept(j->fd, NULL, NULL);
    case POLL: return poll(p, 1, -1);
    case POLLPIPE: return poll(p, 2, -1);
    case SELECT: FD_ZERO(&set); FD_SET(j->fd, &set); return select(j->fd + 1, &set, NULL, NULL, NULL);
    case EPOLL: case EPOLLPIPE: return epoll_wait(j->ep, &e, 1, -1);
    case CONNECT: return connect(j->fd, (struct sockaddr *)&nobody, sizeof nobody);
    default: return -1;
    }
}

static void cleanup(void *p) { ((struct job *)p)->cleaned = 1; }

static void *run(void *p)
{
    struct job *j = p;
    j->tid = (int)syscall(SYS_gettid);
    pthread_cleanup_push(cleanup, j);
    j->result = call(j);
    j->error = errno;
    pthread_cleanup_pop(0);
    j->done = 1;
    return NULL;
}

/* Waits until a thread sleeps, and goes on doing so. */
static void await_sleep(int tid)
{
    char path[60], text[400];
    sprintf(path, "/proc/self/task/%d/stat", tid);
    for (int calm = 0, turn = 0; calm < 5 && turn < 4000; turn++) {
        usleep(4000);
        FILE *f = fopen(path, "r");
        if (!f)
            return;
        size_t n = fread(text, 1, sizeof text - 1, f);
        fclose(f);
        text[n] = 0;
        char *state = strrchr(text, ')');
        calm = state && state[2] == 'S' ? calm + 1 : 0;
    }
}

static void start(struct job *j)
{
    if (pthread_create(&j->thread, NULL, run, j))
        fail("pthread_create");
    while (!j->tid)
        sched_yield();
    await_sleep(j->tid);
}

static const char *outcome(struct job *j)
{
    static char text[4][60];
    static int turn;
    char *t = text[turn++ & 3];
    if (j->what == ACCEPT && j->result >= 0) {
        close((int)j->result);
        return "accepted";
    }
    if (j->what == SEND && (j->result < 1 << 20) && (j->result > 0 || j->error == EINTR || j->error == EAGAIN))
        return "cut short";
    if (j->result < 0)
        snprintf(t, 60, "%s", strerrorname_np(j->error));
    else
        snprintf(t, 60, "%ld", j->what == SEND ? (long)(j->result > 0) : j->result);
    return t;
}

static const char *join(struct job *j)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    return pthread_timedjoin_np(j->thread, NULL, &until) == 0 ? outcome(j) : "hangs";
}

/* ---- cases ---- */

static void nothing(int s) { (void)s; }

static void handler(int restart)
{
    struct sigaction sa = {.sa_handler = nothing, .sa_flags = restart ? SA_RESTART : 0};
    sigaction(SIGUSR1, &sa, NULL);
}

/* What ends a wait of the kind, so that its thread can be joined. */
static void release(struct job *j)
{
    if (j->what == ACCEPT)
        ask("dial %s %d\n", own(), j->number);
    else if (j->what == SEND) {
        say("%d all\n", j->number); /* answered at the end */
        j->reading = 1;
    }
    else if (j->what != CONNECT)
        ask("%d send 2\n", j->number);
}

static void signals(void)
{
    for (enum what w = 0; w < WHATS; w++)
        for (int restart = 0; restart < 2; restart++) {
            if ((w == CONNECT || w == SEND) && restart)
                continue; /* a send may have got rid of a part meanwhile: see partial_send */
            struct job j;
            handler(restart);
            prepare(&j, w);
            start(&j);
            pthread_kill(j.thread, SIGUSR1);
            usleep(30000);
            await_sleep(j.tid);
            int early = j.done;
            if (!early)
                release(&j);
            const char *how = join(&j);
            printf("signal in %s, SA_RESTART %d: %s, %s\n", names[w], restart, early ? "interrupted" : "goes on", how);
            finish(&j);
        }
}

/* Two handlers, one with SA_RESTART and one without: whichever runs decides. */
static void mixed_handlers(void)
{
    struct sigaction with = {.sa_handler = nothing, .sa_flags = SA_RESTART}, without = {.sa_handler = nothing};
    sigaction(SIGUSR1, &with, NULL);
    sigaction(SIGUSR2, &without, NULL);
    for (int i = 0; i < 2; i++) {
        enum what w = i ? RECVMSG : RECV;
        struct job j;
        prepare(&j, w);
        start(&j);
        pthread_kill(j.thread, SIGUSR1);
        usleep(30000);
        await_sleep(j.tid);
        int early = j.done;
        if (!early)
            pthread_kill(j.thread, SIGUSR2);
        printf("two handlers, %s: %s, then %s\n", names[w], early ? "interrupted" : "goes on", join(&j));
        finish(&j);
    }
    signal(SIGUSR2, SIG_DFL);
}

static void timeouts_and_signals(void)
{
    struct timeval t = {20, 0};
    handler(1);
    for (int i = 0; i < 3; i++) {
        enum what w = i == 0 ? RECV : i == 1 ? SEND : ACCEPT;
        struct job j;
        prepare(&j, w);
        setsockopt(j.fd, SOL_SOCKET, w == SEND ? SO_SNDTIMEO : SO_RCVTIMEO, &t, sizeof t);
        start(&j);
        pthread_kill(j.thread, SIGUSR1);
        printf("signal with a timeout set, %s: %s\n", names[w], join(&j));
        finish(&j);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void timeouts(void)
{
    struct timeval t = {0, 100000};
    for (int i = 0; i < 6; i++) {
        enum what w = (enum what[]){RECV, PEEKALL, READV, SEND, ACCEPT, CONNECT}[i];
        struct job j;
        prepare(&j, w);
        setsockopt(j.fd, SOL_SOCKET, w == SEND || w == CONNECT ? SO_SNDTIMEO : SO_RCVTIMEO, &t, sizeof t);
        if (w == PEEKALL)
            ask("%d send 1\n", j.number);
        double before = now();
        j.result = call(&j);
        j.error = errno;
        double took = now() - before;
        /* The kernel counts in jiffies, of up to 10 ms, and the first one may be nearly over. */
        printf("timeout in %s: %s, in time %d\n", names[w], outcome(&j), took >= 0.085 && took < 60);
        finish(&j);
    }
}

/* A signal in the middle of a send that got rid of a part: the part is what it returns. */
static void partial_send(void)
{
    for (int restart = 0; restart < 2; restart++) {
        int number, size = 64 << 20;
        int fd = link_up(&number);
        char *block = calloc(1, size);
        handler(restart);
        timer_t timer;
        struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
        struct itimerspec when = {{0, 0}, {0, 300000000}};
        timer_create(CLOCK_MONOTONIC, &ev, &timer);
        timer_settime(timer, 0, &when, NULL);
        long n = send(fd, block, size, 0);
        timer_delete(timer);
        say("%d all\n", number);
        shutdown(fd, SHUT_WR);
        char expected[40];
        sprintf(expected, "end %ld", n);
        printf("send cut short, SA_RESTART %d: a part %d, all of it arrives %d\n", restart, n > 0 && n < size, strcmp(hear(), expected) == 0);
        close(fd);
        free(block);
    }
}

/* The same with a receive that waits for more. */
static void partial_receive(void)
{
    for (int restart = 0; restart < 2; restart++) {
        struct job j;
        handler(restart);
        prepare(&j, PEEKALL);
        ask("%d send 1\n", j.number);
        start(&j);
        pthread_kill(j.thread, SIGUSR1);
        printf("recv all cut short, SA_RESTART %d: %s\n", restart, join(&j));
        finish(&j);
    }
}

static void cancels(void)
{
    for (enum what w = 0; w < WHATS; w++) {
        struct job j;
        void *how;
        prepare(&j, w);
        start(&j);
        pthread_cancel(j.thread);
        pthread_join(j.thread, &how);
        int cancelled = how == PTHREAD_CANCELED, cleaned = j.cleaned;
        /* nothing is left locked: the same call again, in another thread */
        j.tid = j.done = j.cleaned = 0;
        const char *again = "-";
        if (w != CONNECT) {
            start(&j);
            release(&j);
            again = join(&j);
        }
        printf("cancelled in %s: %d, cleaned %d, again %s\n", names[w], cancelled, cleaned, again);
        finish(&j);
    }
}

/* The thread that sleeps first is the one that the others depend on. */
static void cancel_the_first(void)
{
    for (int i = 0; i < 2; i++) {
        struct job j[6];
        for (int k = 0; k < 6; k++) {
            prepare(&j[k], i ? (k & 1 ? EPOLL : RECV) : (k & 1 ? RECV : POLLPIPE));
            start(&j[k]);
        }
        int good = 0;
        for (int k = 0; k < 5; k++) {
            void *how;
            pthread_cancel(j[k].thread);
            pthread_join(j[k].thread, &how);
            good += how == PTHREAD_CANCELED;
        }
        release(&j[5]);
        printf("the sleepers before the last cancelled: %d, the last: %s\n", good, join(&j[5]));
        for (int k = 0; k < 6; k++)
            finish(&j[k]);
    }
}

static volatile int cancel_ready;

static void *busy_loop(void *p)
{
    int fd = *(int *)p;
    char c[64];
    cancel_ready = 1;
    for (long i = 0; i < 400000000; i++)
        if (recv(fd, c, 1, MSG_PEEK) != 1)
            return NULL;
    return NULL;
}

/* A call that need not wait is a cancellation point too. */
static void cancel_without_waiting(void)
{
    int number, fd = link_up(&number);
    pthread_t t;
    void *how;
    struct pollfd p = {fd, POLLIN, 0};
    ask("%d send 1\n", number);
    poll(&p, 1, 20000);
    pthread_create(&t, NULL, busy_loop, &fd);
    while (!cancel_ready)
        sched_yield();
    pthread_cancel(t);
    pthread_join(t, &how);
    printf("cancelled in a loop of calls that do not wait: %d\n", how == PTHREAD_CANCELED);
    close(fd);
}

static void *never_cancelled(void *p)
{
    struct job *j = p;
    int old;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    j->tid = (int)syscall(SYS_gettid);
    j->result = call(j);
    j->error = errno;
    return NULL;
}

static void cancel_disabled(void)
{
    struct job j;
    void *how;
    prepare(&j, RECV);
    pthread_create(&j.thread, NULL, never_cancelled, &j);
    while (!j.tid)
        sched_yield();
    await_sleep(j.tid);
    pthread_cancel(j.thread);
    release(&j);
    pthread_join(j.thread, &how);
    printf("cancellation disabled: %s, cancelled %d\n", outcome(&j), how == PTHREAD_CANCELED);
    finish(&j);
}

static __thread sigjmp_buf jump;

static void on_jump(int s)
{
    (void)s;
    siglongjmp(jump, 1);
}

static void *jumper(void *p)
{
    struct job *j = p;
    if (sigsetjmp(jump, 1) == 0) {
        j->tid = (int)syscall(SYS_gettid);
        j->result = call(j);
        j->error = errno;
        j->cleaned = 0;
    } else
        j->cleaned = 1;
    while (!j->done)
        usleep(1000);
    return NULL;
}

/* Out of a call by siglongjmp: the others are not left without who watches for them, and the jumper goes on. */
static void jumps(void)
{
    struct sigaction sa = {.sa_handler = on_jump};
    sigaction(SIGUSR1, &sa, NULL);
    for (enum what w = 0; w < CONNECT; w++) {
        struct job first, second;
        prepare(&first, w);
        prepare(&second, w == SEND ? RECV : w);
        pthread_create(&first.thread, NULL, jumper, &first);
        while (!first.tid)
            sched_yield();
        await_sleep(first.tid);
        start(&second);
        pthread_kill(first.thread, SIGUSR1);
        for (int i = 0; i < 5000 && !first.cleaned; i++)
            usleep(1000);
        release(&second);
        const char *how = join(&second);
        first.done = 1;
        pthread_join(first.thread, NULL);
        first.tid = first.done = 0;
        first.cleaned = first.cleaned ? 10 : 0;
        start(&first);
        release(&first);
        printf("siglongjmp out of %s: %d, another thread %s, again %s\n", names[w], first.cleaned, how, join(&first));
        finish(&first);
        finish(&second);
    }
    signal(SIGUSR1, SIG_DFL);
}

static void shutdowns(void)
{
    for (enum what w = 0; w < CONNECT; w++)
        for (int how = 0; how < 3; how++) {
            struct job j;
            if ((w == SEND) != (how == SHUT_WR) && how != SHUT_RDWR)
                continue; /* nothing happens to these */
            prepare(&j, w);
            start(&j);
            int r = shutdown(j.fd, how);
            const char *end = join(&j);
            /* a send says EPIPE unless it has got rid of a part, which depends on timing */
            printf("shutdown %d under %s: %d, %s\n", how, names[w], r, w == SEND && strcmp(end, "EPIPE") == 0 ? "cut short" : end);
            finish(&j);
        }
}

static void shutdown_in_a_child(void)
{
    struct job j;
    prepare(&j, RECV);
    start(&j);
    pid_t pid = fork();
    if (pid == 0) {
        shutdown(j.fd, SHUT_RD);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    printf("shutdown in a child under recv: %s\n", join(&j));
    finish(&j);
}

/* The last fd is closed under a call: the call goes on, and the connection lives until it returns. */
static void closes(void)
{
    enum what kinds[] = {RECV, PEEKALL, READV, RECVMSG, EPOLL};
    for (int i = 0; i < 5; i++) {
        struct job j;
        prepare(&j, kinds[i]);
        start(&j);
        close(j.fd);
        j.fd = -1;
        usleep(30000);
        await_sleep(j.tid);
        int early = j.done;
        if (j.what == EPOLL) {
            printf("close under %s: %s\n", names[j.what], early ? "returns" : "goes on");
            pthread_cancel(j.thread);
            pthread_join(j.thread, NULL);
        } else {
            ask("%d send 2\n", j.number);
            const char *how = join(&j);
            const char *end = ask("%d all\n", j.number);
            printf("close under %s: %s, %s; the peer sees %s\n", names[j.what], early ? "returns" : "goes on", how,
                   strncmp(end, "end", 3) == 0 ? "the end" : strncmp(end, "104", 3) == 0 ? "a reset" : end);
        }
        finish(&j);
    }
}

static void close_the_set(void)
{
    struct job j;
    prepare(&j, EPOLL);
    start(&j);
    close(j.ep);
    j.ep = -1;
    usleep(30000);
    await_sleep(j.tid);
    int early = j.done;
    release(&j);
    printf("the set closed under epoll_wait: %s, %s\n", early ? "returns" : "goes on", join(&j));
    finish(&j);
}

static void sigpipe(void)
{
    int number, fd = link_up(&number), status;
    signal(SIGPIPE, SIG_IGN);
    shutdown(fd, SHUT_WR);
    ssize_t r = send(fd, "x", 1, 0);
    printf("send after shutdown: %zd %s\n", r, strerrorname_np(errno));
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        r = send(fd, "x", 1, MSG_NOSIGNAL);
        if (r == -1 && errno == EPIPE)
            r = write(fd, "x", 1);
        _exit(3);
    }
    waitpid(pid, &status, 0);
    printf("MSG_NOSIGNAL, then a signal: %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
    close(fd);
}

static volatile int alarmed;
static void on_alarm(int s) { alarmed = s; }

static void alarm_in_connect(void)
{
    struct sigaction sa = {.sa_handler = on_alarm};
    struct itimerval soon = {{0, 0}, {0, 100000}};
    sigaction(SIGALRM, &sa, NULL);
    struct job j;
    prepare(&j, CONNECT);
    setitimer(ITIMER_REAL, &soon, NULL);
    j.result = call(&j);
    j.error = errno;
    printf("alarm during connect: %s, %d\n", outcome(&j), alarmed == SIGALRM);
    finish(&j);
}

static void masks(void)
{
    /* A signal that is pending and blocked interrupts a wait whose mask lets it through, at once and with nothing else done. */
    struct job j;
    sigset_t blocked, none;
    handler(1);
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    prepare(&j, EPOLL);
    struct pollfd p = {j.fd, POLLIN, 0};
    struct epoll_event e;
    struct timespec ns = {0, 50000000}, zero = {0, 0}, odd = {0, 1000000000};
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    for (int i = 0; i < 6; i++) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(j.fd, &set);
        pthread_kill(pthread_self(), SIGUSR1);
        errno = 0;
        int r = i == 0 ? epoll_pwait(j.ep, &e, 1, -1, &none) : i == 1 ? epoll_pwait2(j.ep, &e, 1, NULL, &none) : i == 2 ? ppoll(&p, 1, NULL, &none)
            : i == 3 ? pselect(j.fd + 1, &set, NULL, NULL, NULL, &none) : i == 4 ? epoll_pwait(j.ep, &e, 1, 0, &none) : ppoll(&p, 1, &zero, &none);
        printf("pending signal let through, %d: %d %s\n", i, r, r < 0 ? strerrorname_np(errno) : "");
    }
    int r = epoll_pwait2(j.ep, &e, 1, &ns, NULL);
    printf("epoll_pwait2 with a timeout in ns: %d\n", r);
    r = epoll_pwait2(j.ep, &e, 1, &odd, NULL);
    printf("epoll_pwait2 with a bad timeout: %d %s\n", r, strerrorname_np(errno));
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
    finish(&j);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    signal(SIGPIPE, SIG_IGN);
    control = dial();
    if (send(control, "control\n", 8, 0) != 8)
        fail("control");
    struct { const char *name; void (*f)(void); } cases[] = {
        {"signals", signals}, {"mixed_handlers", mixed_handlers}, {"timeouts_and_signals", timeouts_and_signals}, {"timeouts", timeouts},
        {"partial_send", partial_send}, {"partial_receive", partial_receive}, {"cancels", cancels}, {"cancel_the_first", cancel_the_first}, {"cancel_without_waiting", cancel_without_waiting},
        {"cancel_disabled", cancel_disabled}, {"jumps", jumps}, {"shutdowns", shutdowns}, {"shutdown_in_a_child", shutdown_in_a_child}, {"closes", closes},
        {"close_the_set", close_the_set}, {"sigpipe", sigpipe}, {"alarm_in_connect", alarm_in_connect}, {"masks", masks},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        if (argc == 3 || strcmp(argv[3], cases[i].name) == 0)
            cases[i].f();
    return 0;
}
