/* Sockets by system call number: syscall(2). syscalls ADDRESS PORT [uring]; peer.py is at ADDRESS PORT. Prints a line per step. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in peer;

static void say(const char *what, long result)
{
    printf("%s: %ld %s\n", what, result < 0 ? -1L : result, result < 0 ? strerrorname_np(errno) : "ok");
    fflush(stdout);
}

static int dial(const char *line)
{
    int fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    if (syscall(SYS_connect, fd, &peer, sizeof peer) != 0)
        say("connect", -1);
    syscall(SYS_write, fd, line, strlen(line));
    return fd;
}

static long all(int fd, char *to, long n)
{
    long done = 0;
    while (done < n) {
        long got = syscall(SYS_read, fd, to + done, n - done);
        if (got <= 0)
            return got < 0 ? got : done;
        done += got;
    }
    return done;
}

static void data(void)
{
    char buffer[64] = "";
    int fd = dial("echo\n");
    struct iovec v[2] = {{"one ", 4}, {"two ", 4}};
    say("writev", syscall(SYS_writev, fd, v, 2));
    say("sendto", syscall(SYS_sendto, fd, "three ", 6, MSG_NOSIGNAL, 0, 0));
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 1};
    say("sendmsg", syscall(SYS_sendmsg, fd, &m, 0));
    struct mmsghdr mm[2] = {{.msg_hdr = {.msg_iov = v, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = v + 1, .msg_iovlen = 1}}};
    say("sendmmsg", syscall(SYS_sendmmsg, fd, mm, 2, 0));
    say("read", all(fd, buffer, 26));
    printf("%s\n", buffer);
    syscall(SYS_write, fd, "abcdef", 6);
    struct pollfd p = {fd, POLLIN, 0};
    say("poll", syscall(SYS_poll, &p, 1, 10000));
    struct timespec ten = {10, 0};
    say("ppoll", syscall(SYS_ppoll, &p, 1, &ten, 0, 8));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    struct timeval tv = {10, 0};
    say("select", syscall(SYS_select, fd + 1, &set, 0, 0, &tv));
    struct timespec again = {10, 0};
    struct { const sigset_t *s; size_t n; } six = {0, 8};
    say("pselect6", syscall(SYS_pselect6, fd + 1, &set, 0, 0, &again, &six));
    int ep = syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
    struct epoll_event e = {EPOLLIN, {.u64 = 42}}, got = {0};
    say("epoll_ctl", syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &e));
    say("epoll_wait", syscall(SYS_epoll_wait, ep, &got, 1, 10000));
    say("epoll_pwait", syscall(SYS_epoll_pwait, ep, &got, 1, 10000, 0, 8));
    say("epoll_pwait2", syscall(SYS_epoll_pwait2, ep, &got, 1, &ten, 0, 8));
    printf("%x %llu\n", got.events, (unsigned long long)got.data.u64);
    int n = 0;
    say("ioctl", syscall(SYS_ioctl, fd, FIONREAD, &n));
    say("peek", syscall(SYS_recvfrom, fd, buffer, 3, MSG_PEEK, 0, 0));
    struct iovec r = {buffer, 2};
    say("readv", syscall(SYS_readv, fd, &r, 1));
    struct msghdr rm = {.msg_iov = &r, .msg_iovlen = 1};
    say("recvmsg", syscall(SYS_recvmsg, fd, &rm, 0));
    struct mmsghdr rmm = {.msg_hdr = rm};
    say("recvmmsg", syscall(SYS_recvmmsg, fd, &rmm, 1, 0, 0));
    say("fcntl", syscall(SYS_fcntl, fd, F_SETFL, O_NONBLOCK));
    say("would block", syscall(SYS_read, fd, buffer, 1));
    int on = 1, value = 0;
    socklen_t length = sizeof value;
    say("setsockopt", syscall(SYS_setsockopt, fd, IPPROTO_TCP, 1, &on, sizeof on));
    say("getsockopt", syscall(SYS_getsockopt, fd, IPPROTO_TCP, 1, &value, &length));
    struct sockaddr_in a;
    length = sizeof a;
    say("getpeername", syscall(SYS_getpeername, fd, &a, &length));
    printf("%d\n", a.sin_port == peer.sin_port && a.sin_addr.s_addr == peer.sin_addr.s_addr);
    int d = syscall(SYS_dup, fd), d2 = syscall(SYS_dup2, fd, 300), d3 = syscall(SYS_dup3, fd, 301, O_CLOEXEC);
    printf("dups %d %d %d\n", d > 2, d2, d3);
    say("close", syscall(SYS_close, fd));
    say("close_range", syscall(SYS_close_range, 300, 301, 0));
    say("shutdown", syscall(SYS_shutdown, d, SHUT_WR));
    say("closed", syscall(SYS_write, d2, "x", 1));
    p.fd = d;
    syscall(SYS_poll, &p, 1, 10000);
    say("end of file", syscall(SYS_read, d, buffer, 1));
    syscall(SYS_close, d);
}

static void serving(void)
{
    char buffer[100] = "", line[100];
    int fd = dial("echo\n"), s = syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in own, a = {.sin_family = AF_INET};
    socklen_t length = sizeof own;
    syscall(SYS_getsockname, fd, &own, &length);
    say("bind", syscall(SYS_bind, s, &a, sizeof a));
    say("listen", syscall(SYS_listen, s, 5));
    length = sizeof a;
    say("getsockname", syscall(SYS_getsockname, s, &a, &length));
    for (int i = 0; i < 2; i++) {
        char text[32];
        snprintf(line, sizeof line, "dial %s %d by number %d\n", inet_ntop(AF_INET, &own.sin_addr, text, sizeof text), ntohs(a.sin_port), i);
        int asked = dial(line);
        int c = i ? syscall(SYS_accept4, s, 0, 0, SOCK_CLOEXEC) : syscall(SYS_accept, s, 0, 0);
        long n = syscall(SYS_recvfrom, c, buffer, sizeof buffer, 0, 0, 0);
        say("sendto", syscall(SYS_sendto, c, buffer, n, 0, 0, 0));
        syscall(SYS_close, c);
        memset(buffer, 0, sizeof buffer);
        all(asked, buffer, n);
        printf("%s", buffer);
        syscall(SYS_close, asked);
    }
    syscall(SYS_close, s);
    syscall(SYS_close, fd);
}

static void processes(void)
{
    char buffer[16] = "";
    int fd = dial("echo\n"), status = 0;
    for (int how = 0; how < 4; how++) {
        struct { unsigned long long v[8]; } args = {{0, 0, 0, 0, SIGCHLD, 0, 0, 0}};
        long pid = how == 0 ? syscall(SYS_fork) : how == 1 ? syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)
            : how == 2 ? syscall(SYS_clone3, &args, sizeof args) : syscall(SYS_vfork);
        if (pid == 0) {
            syscall(SYS_write, fd, "child", 5);
            int own = dial("echo\n");
            syscall(SYS_write, own, "own", 3);
            syscall(SYS_exit_group, all(own, buffer, 3) == 3 && memcmp(buffer, "own", 3) == 0 ? 0 : 1);
        }
        waitpid(pid, &status, 0);
        memset(buffer, 0, sizeof buffer);
        all(fd, buffer, 5);
        printf("child %d: %d %s\n", how, WEXITSTATUS(status), buffer);
        fflush(stdout);
    }
    long pid = syscall(SYS_fork);
    if (pid == 0) {
        char *const argv[] = {"sh", "-c", "echo executed >&9", 0}, *const envp[] = {0};
        syscall(SYS_dup2, fd, 9);
        syscall(SYS_execve, "/bin/sh", argv, envp);
        syscall(SYS_exit_group, 9);
    }
    waitpid(pid, &status, 0);
    all(fd, buffer, 9);
    buffer[8] = 0;
    printf("%d %s\n", WEXITSTATUS(status), buffer);
    syscall(SYS_close, fd);
}

static void others(void)
{
    int word = 1, pipes[2];
    say("getpid", syscall(SYS_getpid) == getpid());
    say("futex", syscall(SYS_futex, &word, FUTEX_WAIT, 2, 0, 0, 0));
    say("pipe2", syscall(SYS_pipe2, pipes, O_CLOEXEC));
    say("write", syscall(SYS_write, pipes[1], "x", 1));
    say("read", syscall(SYS_read, pipes[0], &word, 1));
    say("close", syscall(SYS_close, -1));
    say("nothing", syscall(9999));
    say("mmap", syscall(SYS_mmap, 0, 4096, 3, 0x22, -1, 0) > 0);
}

int main(int argc, char **argv)
{
    if (argc > 3) {
        say("io_uring_setup", syscall(425, 1, 0));
        return 0;
    }
    alarm(60);
    peer.sin_family = AF_INET;
    peer.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &peer.sin_addr);
    data();
    serving();
    processes();
    others();
    return 0;
}
