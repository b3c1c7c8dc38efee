/* Programs that allow themselves but a few system calls. sandbox ADDRESS PORT; peer.py is at ADDRESS PORT. Prints a line per step. A call that is not on the list ends the process by SIGSYS. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in peer;
enum { BY_PRCTL, BY_NUMBER, BY_NUMBER_OF_PRCTL };

/* Allows the calls of a list that ends with -1. */
static int enter(int how, const int *calls, int flags)
{
    struct sock_filter filter[64];
    int n = 0;
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xC000003E, 1, 0);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (; *calls >= 0; calls++) {
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, *calls, 0, 1);
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {n, filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return how == BY_PRCTL ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
        : how == BY_NUMBER ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program)
        : syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static void put(const char *text)
{
    if (write(1, text, strlen(text)) < 0)
        _exit(99);
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&peer, sizeof peer) != 0 || write(fd, "echo\n", 5) != 5)
        put("cannot connect\n");
    return fd;
}

static int echoes(int fd)
{
    char text[6] = "";
    return send(fd, "hello", 5, 0) == 5 && recv(fd, text, 5, 0) == 5 && strcmp(text, "hello") == 0;
}

static void blocking(int how)
{
    static const int calls[] = {SYS_read, SYS_write, SYS_sendto, SYS_recvfrom, SYS_close, SYS_exit_group, -1};
    int fd = dial();
    if (enter(how, calls, 0) != 0)
        put("no filter\n");
    for (int i = 0; i < 200; i++)
        if (!echoes(fd))
            put("no echo\n");
    put("200 echoes\n");
    close(fd);
    _exit(7);
}

static void polling(int how)
{
    static const int calls[] = {SYS_read, SYS_write, SYS_poll, SYS_close, SYS_exit_group, -1};
    int fd = dial(), other = dial();
    char text[10];
    if (enter(how, calls, 0) != 0)
        put("no filter\n");
    struct pollfd p[2] = {{fd, POLLIN, 0}, {other, POLLIN | POLLOUT, 0}};
    put(poll(p, 1, 20) == 0 ? "nothing yet\n" : "?\n");
    for (int i = 0; i < 100; i++) {
        if (write(fd, "x", 1) != 1 || poll(p, 1, -1) != 1 || p[0].revents != POLLIN || read(fd, text, 10) != 1)
            put("no echo\n");
    }
    put(poll(p, 2, 1000) == 1 && p[1].revents == POLLOUT ? "the other is writable\n" : "?\n");
    close(fd);
    put(poll(p, 1, 0) == 1 && p[0].revents == POLLNVAL ? "closed\n" : "?\n");
    _exit(7);
}

static void events(int how)
{
    static const int calls[] = {SYS_read, SYS_write, SYS_epoll_wait, SYS_epoll_ctl, SYS_close, SYS_exit_group, -1};
    int fd = dial(), pipes[2], set = epoll_create1(0);
    char text[10];
    struct epoll_event e = {EPOLLIN, {.u64 = 1}}, e2 = {EPOLLIN, {.u64 = 2}};
    if (pipe(pipes) != 0 || enter(how, calls, 0) != 0)
        put("no filter\n");
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
    epoll_ctl(set, EPOLL_CTL_ADD, pipes[0], &e2);
    put(epoll_wait(set, &e, 1, 20) == 0 ? "nothing yet\n" : "?\n");
    for (int i = 0; i < 100; i++) {
        if (write(fd, "x", 1) != 1 || epoll_wait(set, &e, 1, -1) != 1 || e.data.u64 != 1 || read(fd, text, 10) != 1)
            put("no echo\n");
        if (i % 10 == 0 && (write(pipes[1], "x", 1) != 1 || epoll_wait(set, &e, 1, -1) != 1 || e.data.u64 != 2 || read(pipes[0], text, 10) != 1))
            put("nothing in the pipe\n");
    }
    put("100 events\n");
    close(fd);
    _exit(7);
}

static void *in_thread(void *fd)
{
    return (void *)(long)echoes(*(int *)fd);
}

static void threads(int how)
{
    static const int calls[] = {SYS_read, SYS_write, SYS_sendto, SYS_recvfrom, SYS_close, SYS_exit_group, SYS_exit, SYS_futex, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_clone, SYS_clone3,
        SYS_set_robust_list, SYS_rseq, SYS_madvise, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_brk, SYS_getrandom, SYS_sched_getaffinity, SYS_prlimit64, SYS_gettid, -1};
    int fds[4];
    for (int i = 0; i < 4; i++)
        fds[i] = dial();
    if (enter(how, calls, how == BY_NUMBER ? SECCOMP_FILTER_FLAG_TSYNC : 0) != 0)
        put("no filter\n");
    for (int round = 0; round < 20; round++) {
        pthread_t all[4];
        for (int i = 0; i < 4; i++)
            pthread_create(&all[i], 0, in_thread, &fds[i]);
        for (int i = 0; i < 4; i++) {
            void *ok;
            pthread_join(all[i], &ok);
            if (!ok)
                put("no echo\n");
        }
    }
    put("4 threads\n");
    _exit(7);
}

/* The filter comes before the first socket. */
static void first(int how)
{
    static const int calls[] = {SYS_read, SYS_write, SYS_socket, SYS_connect, SYS_sendto, SYS_recvfrom, SYS_close, SYS_exit_group, SYS_newfstatat, SYS_poll, SYS_setsockopt, SYS_getsockopt, -1};
    if (enter(how, calls, 0) != 0)
        put("no filter\n");
    for (int i = 0; i < 10; i++) {
        int fd = dial();
        if (!echoes(fd))
            put("no echo\n");
        close(fd);
    }
    put("10 sockets\n");
    _exit(7);
}

/* Two filters: what both allow counts. The first lets getpid through, which the second does not. */
static void two(int how)
{
    static const int more[] = {SYS_read, SYS_write, SYS_sendto, SYS_recvfrom, SYS_close, SYS_exit_group, SYS_getpid, SYS_sched_yield, SYS_ppoll, SYS_seccomp, SYS_prctl, -1};
    static const int less[] = {SYS_read, SYS_write, SYS_sendto, SYS_recvfrom, SYS_exit_group, SYS_close, -1};
    int fd = dial();
    if (enter(how, more, 0) != 0)
        put("no filter\n");
    if (!echoes(fd))
        put("no echo\n");
    if (enter(how, less, 0) != 0)
        put("no second filter\n");
    put(echoes(fd) ? "two filters\n" : "no echo\n");
    close(fd);
    _exit(7);
}

static void forbidden(int how)
{
    static const int calls[] = {SYS_read, SYS_write, SYS_exit_group, -1};
    int fd = dial();
    if (enter(how, calls, 0) != 0)
        put("no filter\n");
    put("what is not on the list\n");
    syscall(SYS_getppid, fd);
    _exit(7);
}

static void refused(int how)
{
    struct sock_fprog bad = {1, 0};
    long result = how == BY_PRCTL ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &bad) : syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, how == BY_NUMBER ? &bad : 0);
    printf("bad program: %ld %s\n", result, strerrorname_np(errno));
    result = syscall(SYS_seccomp, 77, 0, 0);
    printf("bad operation: %ld %s\n", result, strerrorname_np(errno));
    int fd = dial();
    printf("all as before: %d\n", echoes(fd));
    fflush(stdout);
    _exit(7);
}

int main(int argc, char **argv)
{
    static void (*const bodies[])(int) = {blocking, polling, events, threads, first, two, forbidden, refused};
    alarm(60);
    peer.sin_family = AF_INET;
    peer.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &peer.sin_addr);
    for (int i = 0; i < (int)(sizeof bodies / sizeof *bodies); i++)
        for (int how = 0; how < 3; how++) {
            if (argc > 3 && atoi(argv[3]) != i)
                continue;
            fflush(stdout);
            if (fork() == 0)
                bodies[i](how);
            int status;
            wait(&status);
            printf("case %d by %d: %s %d\n", i, how, WIFEXITED(status) ? "exit" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        }
    return 0;
}
