/* direct_liar SOCKET VERSION SIDE ENDS SEED: a process of a guest that lies to the guest's neighbours in every region that it shares with one (Channel/Shared/DirectRegion.cs).
 *
 * SIDE is the length of what concerns one guest, ENDS where the ends of connections begin. Seed 0: one lie only, which is that every end has written more than a ring holds, and nothing before that by the NSM.
 *
 * Asks for the regions as the guest library does, prints "mapped", and scribbles into them while both guests use them: random bytes, likely values in each of the words, values that change back and forth
 * faster than anybody can look twice, floods of news, and nothing for a while, which leaves the last lies standing. SIGUSR1: "frozen", and nothing is written any more. SIGUSR2: from then on "flooding", news
 * without end. SIGTERM: says how often the regions have MARK in them, which only connections to others carry, and ends. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MARK 0x5EC7E7A1D0C0FFEEull
enum { PAIR = 55, RING = 256 << 10, CONNECTIONS = 128, END = 512, RINGS = 256 << 10, LENGTH = RINGS + 2 * CONNECTIONS * RING, MOST = 8 };

static unsigned char *region[MOST];
static unsigned id[MOST];
static int regions;
static unsigned SIDE, ENDS; /* as the layout has them */
static uint64_t state;
static volatile sig_atomic_t frozen, flooding, over;

static void heard(int signal) { if (signal == SIGTERM) over = 1; else flooding = !(frozen = signal == SIGUSR1); }
static uint64_t rnd(void) { state ^= state << 13; state ^= state >> 7; return state ^= state << 17; }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }

/* The region of that name, mapped; null: it is none of this guest's. */
static unsigned char *ask(const char *path, unsigned version, unsigned place)
{
    union { unsigned char bytes[256]; unsigned words[64]; } message = { .words = { PAIR, 0, version, 0, 0, place } };
    char control[64];
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    struct iovec iov = { message.bytes, sizeof message };
    struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd = -1;
    strncpy(where.sun_path, path, sizeof where.sun_path - 1);
    if (s < 0 || connect(s, (struct sockaddr *)&where, sizeof where) || sendmsg(s, &header, 0) != sizeof message) { perror(path); exit(1); }
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    if (recvmsg(s, &header, 0) == sizeof message && CMSG_FIRSTHDR(&header)) memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof fd);
    close(s);
    if (fd < 0) return 0;
    unsigned char *start = mmap(0, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return start == MAP_FAILED ? 0 : start;
}

static void look_for_regions(const char *path, unsigned version)
{
    for (unsigned index = 0; index < 4; index++)
        for (unsigned life = 1; life < 3; life++) {
            unsigned place = index | life << 16;
            int known = 0;
            for (int i = 0; i < regions; i++) known |= id[i] == place;
            if (known || regions == MOST || !(region[regions] = ask(path, version, place))) continue;
            id[regions++] = place;
            puts("mapped");
        }
}

static volatile uint32_t *word(unsigned char *at, unsigned offset) { return (volatile uint32_t *)(at + offset); }
static unsigned char *end_of(unsigned char *r, unsigned connection, unsigned side) { return r + ENDS + (2 * connection + side) * END; }

/* A connection that somebody uses, as far as one can see. */
static unsigned used(unsigned char *r)
{
    unsigned connection = rnd() % CONNECTIONS;
    for (unsigned i = 0; i < CONNECTIONS; i++, connection = (connection + 1) % CONNECTIONS)
        if (*word(end_of(r, connection, 0), 132) | *word(end_of(r, connection, 1), 132)) break;
    return connection;
}

static uint32_t near(uint32_t value)
{
    static const int32_t by[] = { 0, 1, -1, 2, 7, 64, 4096, -4096, RING / 2, RING - 1, RING, RING + 1, -RING, -RING - 1, 1 << 20, INT32_MAX, INT32_MIN };
    return value + (uint32_t)by[rnd() % (sizeof by / sizeof *by)];
}

static uint32_t likely(void)
{
    static const uint32_t some[] = { 0, 0, 1, 1, 2, 2047, 2048, RING, UINT32_MAX, INT32_MAX };
    return rnd() % 4 ? some[rnd() % (sizeof some / sizeof *some)] : (uint32_t)rnd();
}

/* One lie in a word of a connection that counts. */
static void lie(unsigned char *r)
{
    unsigned char *e = end_of(r, used(r), rnd() % 2);
    switch (rnd() % 16) {
    case 0: case 1: case 2: *word(e, 0) = near(*word(e, 0)); break;              /* Tail */
    case 3: *word(e, 4) = likely(); break;                                       /* WantsRoom */
    case 4: *word(e, 8) = likely(); break;                                       /* Started */
    case 5: *word(e, 12) = likely(); break;                                      /* Stopped */
    case 6: *word(e, 16) = near(*word(e, 16)); *word(e, 20) = rnd() % 8 ? 0 : likely(); break; /* Prefix */
    case 7: case 8: *word(e, 128) = near(*word(e, 128)); break;                  /* Head */
    case 9: *word(e, 132) = likely(); break;                                     /* Ready */
    case 10: *word(e, 256) = rnd() % 2 ? rnd() % 64 : likely(); break;           /* Socket */
    case 11: *word(e, 264 + 4 * (rnd() % 8)) = likely(); break;                  /* Users */
    case 12: *word(e, 384) = likely(); break;                                    /* Kicked */
    case 13: *word(e, 448) = rnd() % 4 ? 0 : likely(); break;                    /* Gone */
    case 14: *word(e, 452) = likely(); break;                                    /* ReceiveLimit */
    default: *word(e, 456) = rnd() % 4 ? 0 : likely(); break;                    /* Withdrawn */
    }
}

static void news(unsigned char *r)
{
    for (unsigned side = 0; side < 2; side++)
        for (unsigned i = 0; i < 4; i++) *word(r, side * SIDE + 4 * i) = UINT32_MAX;
}

/* Until the time is up, or a signal came. */
static void lie_for(double seconds, int how)
{
    unsigned char *r = region[rnd() % regions], *e = end_of(r, used(r), rnd() % 2);
    uint32_t one = near(*word(e, 0)), other = near(*word(e, 0)), head = near(*word(e, 128));
    for (double end = now() + seconds; !over && !frozen && !flooding && now() < end;)
        for (int i = 0; i < 200; i++)
            switch (how) {
            case 0: r[rnd() % RINGS] = rnd(); break;
            case 1: lie(r); news(r); break;
            case 2: news(r); break;
            case 3: *word(e, 0) = one; *word(e, 0) = other; news(r); break;             /* what is true now is not a moment later */
            case 4: *word(e, 128) = head; *word(e, 128) = one; *word(e, 16) = other; news(r); break;
            case 5: memset(r + (rnd() % 2) * SIDE + 128 + 8 * (rnd() % ((SIDE - 128) / 8 - 4)), (int)rnd(), 32); break; /* who sleeps, and how they are woken */
            case 6: *(volatile uint64_t *)(r + RINGS + (rnd() % (LENGTH - RINGS) & ~7ul)) = rnd(); break;
            default: if (i % 20 == 0) lie(r); usleep(100); break;                       /* one by one */
            }
}

int main(int argc, char **argv)
{
    SIDE = atoi(argv[3]);
    ENDS = atoi(argv[4]);
    state = strtoull(argv[5], 0, 10) * 0x9E3779B97F4A7C15u;
    setvbuf(stdout, 0, _IOLBF, 0);
    for (int i = 0; i < 3; i++) sigaction((int[]) { SIGTERM, SIGUSR1, SIGUSR2 }[i], &(struct sigaction) { .sa_handler = heard }, 0);
    while (!regions && !over) {
        look_for_regions(argv[1], atoi(argv[2]));
        usleep(1000);
    }
    for (unsigned i = 0; !state && i < regions * CONNECTIONS * 2; i++) {
        unsigned char *e = end_of(region[i / (2 * CONNECTIONS)], i / 2 % CONNECTIONS, i % 2);
        *word(e, 16) = *word(e, 20) = 0;
        *word(e, 0) = RING + 1;
        *word(e, 8) = 1;
        frozen = 1;
    }
    for (int told = 0; !over;) {
        if (frozen || flooding) {
            if (told != frozen + 2 * flooding) puts(frozen ? "frozen" : "flooding");
            told = frozen + 2 * flooding;
            for (int i = 0; i < regions && flooding; i++) news(region[i]);
            if (frozen) usleep(1000);
            continue;
        }
        told = 0;
        int how = rnd() % 10;
        if (how < 9) lie_for(0.01 + rnd() % 50 / 1000.0, how);
        else usleep(rnd() % 50000); /* what was said last stands for a while */
    }
    unsigned long marks = 0;
    for (int i = 0; i < regions; i++)
        for (unsigned char *at = region[i]; (at = memmem(at, region[i] + LENGTH - at, &(uint64_t) { MARK }, 8)); at++) marks++;
    printf("marks %lu\n", marks);
    return 0;
}
