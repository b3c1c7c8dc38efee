/* Stdio on sockets. stdio ADDRESS PORT: peer.py is at ADDRESS PORT; prints a line per step to fd 3, a copy of its standard output. stdio inetd: a server on fds 0 to 2. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

static struct sockaddr_in peer;
static FILE *out;
static int broken;

static void say(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(out, format, list);
    va_end(list);
    fputc('\n', out);
    fflush(out);
}

static int dial(const char *line)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&peer, sizeof peer) != 0)
        say("connect %s", strerrorname_np(errno));
    if (line && write(fd, line, strlen(line)) < 0)
        say("write %s", strerrorname_np(errno));
    return fd;
}

static const char *all(int fd, int n)
{
    static char text[8192];
    int done = 0, got;
    while (done < n && (got = read(fd, text + done, n - done)) > 0)
        done += got;
    text[done] = 0;
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = '/';
    return text;
}

/* How the peer saw a connection end. */
static void ended(const char *name)
{
    char line[100];
    snprintf(line, sizeof line, "ended %s\n", name);
    int fd = dial(line);
    say("ended: %s", all(fd, 100));
    close(fd);
}

static int hold(char *name)
{
    char line[100];
    static int n;
    snprintf(name, 50, "stdio-%d-%d", getpid(), n++);
    snprintf(line, sizeof line, "hold %s\n", name);
    int fd = dial(line);
    all(fd, 5);
    return fd;
}

static void both_ways(void)
{
    char line[100];
    int fd = dial("echo\n");
    FILE *in = fdopen(fd, "r"), *o = fdopen(dup(fd), "w");
    say("fileno %d %d", fileno(in) == fd, fileno(o) > fd);
    say("fprintf %d", fprintf(o, "one %d %s\n", 1, "uno"));
    say("fputs %d", fputs("two\nthree\n", o) >= 0);
    say("fflush %d", fflush(o));
    for (int i = 0; i < 3; i++)
        say("fgets %s", strtok(fgets(line, sizeof line, in), "\n"));
    setvbuf(o, 0, _IONBF, 0);
    say("unbuffered %zu", fwrite("abc", 1, 3, o));
    say("fread %d %.3s", fread(line, 1, 3, in) == 3, line);
    say("ungetc %c", ungetc('z', in));
    say("getc %c", getc(in));
    fprintf(o, "12 -3.5 word\n");
    int n;
    float f;
    say("fscanf %d", fscanf(in, "%d %f %50s", &n, &f, line));
    say("%d %g %s", n, f, line);
    long at = ftell(in);
    say("ftell %ld %s", at, strerrorname_np(errno));
    int sought = fseek(in, 0, SEEK_SET);
    say("fseek %d %s", sought, strerrorname_np(errno));
    struct stat s;
    say("fstat %d", fstat(fileno(in), &s) == 0 && S_ISSOCK(s.st_mode));
    say("fclose %d", fclose(o));
    shutdown(fd, SHUT_WR);
    say("line feed %d", getc(in) == '\n');
    say("eof %d", getc(in) == EOF && feof(in) && !ferror(in));
    say("fclose %d", fclose(in));
    int closed = fcntl(fd, F_GETFD);
    say("closed %d %s", closed, strerrorname_np(errno));
}

static void read_line(FILE *f, char **line, size_t *room)
{
    ssize_t n = getline(line, room, f);
    say("getline %zd %s", n, strtok(*line, "\n"));
}

static void update_stream(void)
{
    char *line = 0;
    size_t room = 0;
    FILE *f = fdopen(dial("echo\n"), "r+");
    fprintf(f, "first\n");
    fflush(f);
    read_line(f, &line, &room);
    fprintf(f, "second\n");
    fflush(f);
    read_line(f, &line, &room);
    char big[100000];
    memset(big, 'x', sizeof big);
    say("big %zu", fwrite(big, 1, sizeof big, f));
    fflush(f);
    memset(big, 0, sizeof big);
    size_t got = fread(big, 1, sizeof big, f);
    say("back %zu %d", got, big[0] == 'x' && big[sizeof big - 1] == 'x');
    free(line);
    fclose(f);
}

static void closing(void)
{
    char name[50];
    FILE *f = fdopen(hold(name), "w");
    fprintf(f, "12345");
    fclose(f);
    ended(name);
    f = fdopen(hold(name), "w");
    fprintf(f, "123");
    if (fork() == 0)
        exit(0); /* flushes its copy */
    wait(0);
    fclose(f);
    ended(name);
    f = fdopen(hold(name), "w");
    if (fork() == 0) {
        fprintf(f, "flushed at exit");
        exit(0);
    }
    wait(0);
    fclose(f);
    ended(name);
}

static void printing(void)
{
    int fd = dial("echo\n");
    say("dprintf %d", dprintf(fd, "%d %s %c %ld %g %g %.1f %Lg %d %d %g %g %g %g %g %g %g|", 1, "two", '3', 4L, 5.5, 6.5, 7.5, 8.5L, 9, 10, 11.5, 12.5, 13.5, 14.5, 15.5, 16.5, 17.5));
    say("%s", all(fd, 66));
    char big[6000];
    memset(big, 'y', sizeof big);
    say("dprintf %d", dprintf(fd, "%.*s", (int)sizeof big, big));
    say("%zu", strlen(all(fd, sizeof big)));
    say("nothing %d", dprintf(fd, "%s", ""));
    signal(SIGPIPE, SIG_IGN);
    shutdown(fd, SHUT_WR);
    int printed = dprintf(fd, "x");
    say("shut %d %s", printed, strerrorname_np(errno));
    FILE *f = fdopen(fd, "w");
    fprintf(f, "x");
    int flushed = fflush(f);
    say("shut %d %s, ferror %d", flushed, strerrorname_np(errno), ferror(f) != 0);
    fclose(f);
    printed = dprintf(-1, "x");
    say("to nowhere %d %s", printed, strerrorname_np(errno));
    int pipes[2];
    char got[20] = "";
    if (pipe(pipes) == 0 && dprintf(pipes[1], "%s %g", "pipe", 1.5) == 8 && read(pipes[0], got, 20) == 8)
        say("%s", got);
}

static void on_pipe(int signal)
{
    (void)signal;
    broken++;
}

static void wide(void)
{
    int fd = dial("echo\n");
    FILE *f = fdopen(fd, "r+");
    say("fwprintf %d", fwprintf(f, L"w\u00efde %ls\n", L"str\u00eengs"));
    fflush(f);
    wchar_t line[50];
    say("fgetws %zu", fgetws(line, 50, f) ? wcslen(line) : 0);
    say("fwide %d", fwide(f, 0) > 0);
    fclose(f);
    say("closed %d", fcntl(fd, F_GETFD));
}

static void standard(void)
{
    int fd = dial("echo\n"), old = dup(1), old0 = dup(0), old2 = dup(2);
    dup2(fd, 1);
    dup2(fd, 0);
    dup2(fd, 2);
    printf("printed %d\n", 42);
    puts("put");
    putchar('c');
    fflush(stdout);
    char text[100];
    int n = 0;
    int k = scanf("%50s %d", text, &n);
    say("scanf %d %s %d", k, text, n);
    getchar();
    say("gets %s", strtok(fgets(text, sizeof text, stdin), "\n"));
    say("getchar %c", getchar());
    errno = ENOENT;
    perror("perror");
    say("perror %s", strtok(fgets(text, sizeof text, stdin), "\n"));
    perror("");
    say("perror %s", strtok(fgets(text, sizeof text, stdin), "\n"));
    fprintf(stderr, "error %d\n", 1);
    say("stderr %s", strtok(fgets(text, sizeof text, stdin), "\n"));
    perror("again");
    say("perror %s", strtok(fgets(text, sizeof text, stdin), "\n"));
    printf("to be flushed");
    fflush(0);
    say("%s", all(0, 13));
    printf("kept for the file");
    dup2(old, 1);
    fflush(stdout);
    fputc('\n', out);
    dup2(old0, 0);
    dup2(old2, 2);
    close(old);
    close(old0);
    close(old2);
    say("still %s", write(fd, "there", 5) == 5 ? all(fd, 5) : "?");
    close(fd);
}

static void reopening(void)
{
    char name[50];
    FILE *f = fdopen(hold(name), "w");
    int fd = fileno(f);
    fprintf(f, "xyz");
    f = freopen("/dev/null", "w", f);
    say("freopen %d %d", f != 0, fileno(f) == fd);
    ended(name);
    say("printed %d", fprintf(f, "into nothing"));
    say("fflush %d", fflush(f));
    int file = dup(fd);
    struct stat s;
    say("a file %d", fstat(file, &s) == 0 && !S_ISSOCK(s.st_mode) && write(fd, "x", 1) == 1);
    close(file);
    fclose(f);
    f = fdopen(hold(name), "w");
    f = freopen("/no/such/file", "w", f);
    say("freopen %d %s", f == 0, strerrorname_np(errno));
    ended(name);
    f = fopen("/dev/null", "r");
    fd = dial("echo\n");
    say("dup2 %d", dup2(fd, fileno(f)) == fileno(f));
    close(fd);
    say("written %zd", write(fileno(f), "through", 7));
    char text[20] = "";
    size_t through = fread(text, 1, 7, f);
    say("fread %zu %s", through, text);
    fclose(f);
}

static void signals(void)
{
    struct sigaction a = {.sa_handler = on_pipe};
    sigaction(SIGPIPE, &a, 0);
    int fd = dial("echo\n");
    FILE *f = fdopen(fd, "w");
    shutdown(fd, SHUT_WR);
    fprintf(f, "x");
    int result = fflush(f);
    say("SIGPIPE %d %d %s", broken, result, strerrorname_np(errno));
    fclose(f);
    fd = dial("echo\n");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    f = fdopen(fd, "r");
    int got = getc(f);
    say("would block %d %s %d", got, strerrorname_np(errno), ferror(f) != 0);
    clearerr(f);
    fclose(f);
}

/* A super server: the program that it starts finds the connection as its fds 0 to 2. */
static void super_server(const char *self, const char *address)
{
    int s = socket(AF_INET, SOCK_STREAM, 0), probe = dial("echo\n");
    struct sockaddr_in a = {.sin_family = AF_INET}, own;
    socklen_t length = sizeof own;
    getsockname(probe, (void *)&own, &length);
    close(probe);
    if (bind(s, (void *)&a, sizeof a) != 0 || listen(s, 5) != 0)
        say("listen %s", strerrorname_np(errno));
    length = sizeof a;
    getsockname(s, (void *)&a, &length);
    for (int i = 0; i < 2; i++) {
        char line[100], text[32];
        snprintf(line, sizeof line, "dial %s %d line %d\n", inet_ntop(AF_INET, &own.sin_addr, text, sizeof text), ntohs(a.sin_port), i);
        int asked = dial(line), c = accept(s, 0, 0);
        if (fork() == 0) {
            for (int fd = 0; fd < 3; fd++)
                dup2(c, fd);
            execl(self, self, "inetd", (char *)0);
            _exit(1);
        }
        close(c);
        say("inetd: %s", all(asked, 1000));
        close(asked);
        int status;
        wait(&status);
        say("exit %d", WEXITSTATUS(status));
    }
    (void)address;
    close(s);
}

static int inetd(void)
{
    char line[100], peer_name[INET_ADDRSTRLEN];
    struct sockaddr_in a;
    socklen_t length = sizeof a;
    if (!fgets(line, sizeof line, stdin))
        return 2;
    printf("you said: %s", line);
    fprintf(stderr, "on stderr\n");
    errno = EPERM;
    perror("perror");
    printf("peer %d\n", getpeername(0, (void *)&a, &length) == 0 && inet_ntop(AF_INET, &a.sin_addr, peer_name, sizeof peer_name) != 0);
    fflush(stdout);
    if (system("echo from a shell") != 0)
        return 3;
    FILE *p = popen("cat", "w");
    fputs("from popen\n", p);
    pclose(p);
    puts("good bye");
    return 7;
}

int main(int argc, char **argv)
{
    alarm(500);
    if (argc == 2)
        return inetd();
    setlocale(LC_ALL, "C.UTF-8");
    if (dup2(1, 3) != 3)
        return 9;
    out = fdopen(3, "w");
    peer.sin_family = AF_INET;
    peer.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &peer.sin_addr);
    both_ways();
    update_stream();
    closing();
    printing();
    wide();
    standard();
    reopening();
    signals();
    super_server(argv[0], argv[1]);
    return 0;
}
