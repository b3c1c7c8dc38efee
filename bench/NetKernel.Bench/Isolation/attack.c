/* Bad neighbours, for ./nk bench isolation.
 *
 *   attack burn                       uses a core and nothing else: what the machine itself does to a neighbour
 *   attack flood ATTACH_SOCKET        attaches as a guest process does, without the library, and keeps the send rings of all queue sets full of requests, each of
 *                                     which costs the NSM a system call
 *   attack connect ADDRESS PORT       opens connections as fast as it can, and closes them by reset (run it in a guest)
 *
 * Prints "begun", and runs until it is killed. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* docs/wire-format.md */
enum { RING_HEAD = 128, RING_SLOTS_AT = 256, SETS_AT = 4096, PROCESS_SLOT = 256, SET_HEADER = 512, LOOP_BELL = 256, BELL_PENDING = 128 };
enum { OP_SOCKET = 1, OP_SET_OPTION = 10, JOB = 0, SEND = 2 };

static void say(const char *what)
{
    puts(what);
    fflush(stdout);
}

static uint32_t u32(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static void put(unsigned char *e, int op, uint32_t socket, uint64_t data, uint64_t pointer, uint32_t size)
{
    memset(e, 0, 32);
    e[0] = op;
    memcpy(e + 3, &socket, 4);
    memcpy(e + 7, &data, 8);
    memcpy(e + 15, &pointer, 8);
    memcpy(e + 23, &size, 4);
}

static int flood(const char *path, int layout)
{
    int s = socket(AF_UNIX, SOCK_SEQPACKET, 0), ends[2];
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    strncpy(where.sun_path, path, sizeof where.sun_path - 1);
    if (pipe(ends) != 0 || connect(s, (struct sockaddr *)&where, sizeof where) != 0) {
        perror("attach");
        return 1;
    }

    unsigned char hello[256] = { 0 }, answer[256];
    uint32_t words[] = { 48, 0, layout, 0, 0, 0, 0, 1 }; // Attach
    memcpy(hello, words, sizeof words);
    memcpy(hello + 56, "flood", 5);
    union { char bytes[CMSG_SPACE(64 * sizeof(int))]; struct cmsghdr align; } control;
    struct iovec one = { hello, sizeof hello };
    struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(sizeof(int)) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &ends[1], sizeof(int));
    sendmsg(s, &message, 0);
    one.iov_base = answer;
    message.msg_controllen = sizeof control.bytes;
    if (recvmsg(s, &message, 0) <= 0 || u32(answer + 4) != 0) {
        fprintf(stderr, "refused: %.64s\n", answer + 128);
        return 1;
    }

    int fds[64];
    memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), CMSG_FIRSTHDR(&message)->cmsg_len - CMSG_LEN(0));
    struct stat about;
    fstat(fds[0], &about);
    unsigned char *region = mmap(NULL, about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    uint32_t sets = u32(region + 28), slots = u32(region + 32), mine = u32(answer + 20);
    uint64_t ring = RING_SLOTS_AT + (uint64_t)slots * 32, set = SET_HEADER + 4 * ring, base = SETS_AT + (uint64_t)PROCESS_SLOT * sets;
    unsigned char *job = region + base + set * mine + SET_HEADER + ring * JOB, *bell = region + LOOP_BELL;
    uint32_t tail = u32(job);
    put(job + RING_SLOTS_AT + (tail % slots) * 32, OP_SOCKET, 1, 2 | 1 << 16 | 6ull << 32, 0, 0);
    __atomic_store_n((uint32_t *)job, tail + 1, __ATOMIC_RELEASE);
    uint64_t ringing = 1;
    int begun = 0;
    for (;;) {
        int room = 0;
        for (uint32_t q = 0; q < sets; q++) {
            unsigned char *send = region + base + set * q + SET_HEADER + ring * SEND;
            uint32_t to = __atomic_load_n((uint32_t *)send, __ATOMIC_RELAXED);
            uint32_t head = __atomic_load_n((uint32_t *)(send + RING_HEAD), __ATOMIC_ACQUIRE);
            if (to - head == slots)
                continue;
            room = 1;
            for (; to - head != slots; to++)
                put(send + RING_SLOTS_AT + (to % slots) * 32, OP_SET_OPTION, 1, 1, 6 | 1ull << 32 /* TCP_NODELAY */, 4);
            __atomic_store_n((uint32_t *)send, to, __ATOMIC_RELEASE);
            __atomic_fetch_or(bell + BELL_PENDING + q / 8, 1 << q % 8, __ATOMIC_SEQ_CST);
        }

        if (__atomic_exchange_n((uint32_t *)bell, 0, __ATOMIC_SEQ_CST) == 1 && write(fds[2], &ringing, 8) != 8)
            return 1;
        struct pollfd closed = { s, POLLIN, 0 };
        static unsigned passes;
        if ((++passes & 0xFFF) == 0 && poll(&closed, 1, 0) != 0) {
            say("detached");
            return 1;
        }

        if (!begun++)
            say("begun");
        if (!room)
            __builtin_ia32_pause();
    }
}

static int connects(const char *address, int port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct linger reset = { 1, 0 };
    inet_pton(AF_INET, address, &to.sin_addr);
    say("begun");
    for (;;) {
        int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (s < 0)
            continue;
        setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        connect(s, (struct sockaddr *)&to, sizeof to);
        close(s);
    }
}

int main(int count, char **words)
{
    if (count == 2 && !strcmp(words[1], "burn")) {
        say("begun");
        for (;;)
            __asm__ volatile("");
    }

    if (count == 4 && !strcmp(words[1], "flood"))
        return flood(words[2], atoi(words[3]));
    if (count == 4 && !strcmp(words[1], "connect"))
        return connects(words[2], atoi(words[3]));
    fprintf(stderr, "usage: attack burn | flood ATTACH_SOCKET LAYOUT | connect ADDRESS PORT\n");
    return 2;
}
