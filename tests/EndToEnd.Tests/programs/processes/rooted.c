/* Programs that give up rights, or the file system, before their first socket. rooted ADDRESS PORT; peer.py is at ADDRESS PORT; needs root. Prints a line per step. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static struct sockaddr_in peer;
static char folder[] = "/tmp/nk-root-XXXXXX";

static int echoes(void)
{
    char text[8];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (void *)&peer, sizeof peer) != 0 || write(fd, "echo\nhello", 10) != 10)
        return -errno;
    int ok = recv(fd, text, 5, MSG_WAITALL) == 5 && memcmp(text, "hello", 5) == 0;
    close(fd);
    return ok;
}

static int drop(int how)
{
    if (how & 1)
        return setgroups(0, 0) || setgid(NOBODY) || setuid(NOBODY);
    return 0;
}

static int root(int how)
{
    if (how & 2)
        return how & 16 ? syscall(SYS_chroot, folder) || chdir("/") : chroot(folder) || chdir("/");
    if (how & 4)
        return unshare(CLONE_NEWNS) || mount("", "/", 0, MS_REC | MS_PRIVATE, 0) || mount("none", "/run", "tmpfs", 0, 0) || mount("none", "/tmp", "tmpfs", 0, 0);
    if (how & 8)
        return unshare(CLONE_NEWUSER);
    if (how & 32)
        return unshare(CLONE_NEWNS) || mount("", "/", 0, MS_REC | MS_PRIVATE, 0) || mount(folder, folder, 0, MS_BIND, 0) || chdir(folder)
            || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/");
    return 0;
}

static void attempt(const char *what, int how)
{
    fflush(stdout);
    int status, pid = fork();
    if (pid == 0) {
        if (root(how) || drop(how)) {
            printf("%s: cannot: %s\n", what, strerrorname_np(errno));
            exit(0);
        }
        printf("%s: uid %d, %d", what, how & 8 ? 0 : getuid(), echoes());
        fflush(stdout);
        if (fork() == 0) {
            printf(", in a child %d", echoes());
            exit(0);
        }
        wait(0);
        struct sockaddr_in a = {.sin_family = AF_INET};
        int s = socket(AF_INET, SOCK_STREAM, 0);
        printf(", bind %d", bind(s, (void *)&a, sizeof a));
        printf(", listen %d\n", listen(s, 5));
        exit(0);
    }
    waitpid(pid, &status, 0);
    if (status != 0)
        printf("%s: status %x\n", what, status);
}


int main(int argc, char **argv)
{
    alarm(60);
    peer.sin_family = AF_INET;
    peer.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &peer.sin_addr);
    if (!mkdtemp(folder) || chmod(folder, 0755) != 0)
        return 1;
    attempt("as it was", 0);
    attempt("another user", 1);
    attempt("another root", 2);
    attempt("another user and root", 3);
    attempt("another root by number", 2 | 16);
    attempt("another mount namespace", 4);
    attempt("another mount namespace and user", 5);
    attempt("another user namespace", 8);
    attempt("pivoted", 32);
    attempt("pivoted and another user", 33);
    if (fork() == 0) {
        /* The root is changed in the parent, the first socket is its child's. */
        if (chroot(folder) == 0 && fork() == 0) {
            drop(1);
            printf("a child's first: %d\n", echoes());
            fflush(stdout);
            exit(0);
        }
        wait(0);
        exit(0);
    }
    wait(0);
    rmdir(folder);
    return 0;
}
