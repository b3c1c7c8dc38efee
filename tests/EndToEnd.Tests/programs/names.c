// Name resolution, call by call, printed for comparison with a native run: gcc names.c -lresolv -pthread; names SECTION... ZONE is example.test.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <nss.h>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define Z ".example.test"

static const char *const names[] = {
    "host" Z, "HOST" Z, "host" Z ".", "four" Z, "six" Z, "two" Z, "nodata" Z, "nowhere" Z, "under_score" Z, "-dash" Z, "mapped" Z, "alias" Z, "alias2" Z,
    "dangling" Z, "tonodata" Z, "loop" Z, "loopa" Z, "oddalias" Z, "dashalias" Z, "underalias" Z, "chain0" Z, "chain36" Z, "shortdata" Z, "longdata" Z,
    "mixedbad" Z, "servfail" Z, "refused" Z, "notimp" Z, "formerr" Z, "badrcode" Z, "failsix" Z, "failfour" Z, "wrongid" Z, "wrongquestion" Z, "othercase" Z,
    "otherowner" Z, "cut" Z, "overcount" Z, "pointerloop" Z, "pointerout" Z, "badlabel" Z, "referral" Z, "tc" Z, "reversed" Z, "short", "short.", "only.deep",
    "dotted.name", "none", "a..b", ".", "", "198.18.9.1", "198.18.9", "2001:2::1", "::ffff:198.18.9.1", "fe80::1%lo", "localhost", "in-hosts",
    "x23456789012345678901234567890123456789012345678901234567890123456" Z, "esc\\097ped" Z, "sp ace" Z, "many" Z, "manysix" Z,
};
#define COUNT (sizeof names / sizeof *names)

static void errors(int result) { printf(" -> %s", result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result)); }

static void show(const struct addrinfo *list) {
    int n = 0;
    for (; list; list = list->ai_next, n++) {
        char text[INET6_ADDRSTRLEN] = "?";
        const void *at = list->ai_family == AF_INET ? (const void *)&((struct sockaddr_in *)list->ai_addr)->sin_addr : &((struct sockaddr_in6 *)list->ai_addr)->sin6_addr;
        inet_ntop(list->ai_family, at, text, sizeof text);
        printf(" %s/%d/%d/%d/%x/%u/%u", text, ntohs(((struct sockaddr_in *)list->ai_addr)->sin_port), list->ai_socktype, list->ai_protocol, list->ai_flags,
               list->ai_addrlen, list->ai_family == AF_INET6 ? ((struct sockaddr_in6 *)list->ai_addr)->sin6_scope_id : 0);
        if (list->ai_canonname)
            printf(" (%s)", list->ai_canonname);
    }
    printf(" [%d]\n", n);
}

static void info(const char *name, const char *service, int family, int type, int flags) {
    struct addrinfo hints = {.ai_family = family, .ai_socktype = type, .ai_flags = flags}, *list = NULL;
    printf("getaddrinfo %s %s %d %d %x", name ? name : "-", service ? service : "-", family, type, flags);
    int result = getaddrinfo(name, service, &hints, &list);
    if (result) {
        errors(result);
        printf("\n");
    } else {
        show(list);
        freeaddrinfo(list);
    }
}

static void infos(void) {
    for (size_t i = 0; i < COUNT; i++)
        for (int family = 0; family < 3; family++)
            info(names[i], "80", family == 0 ? AF_UNSPEC : family == 1 ? AF_INET : AF_INET6, SOCK_STREAM, AI_CANONNAME);
    static const int flags[] = {0, AI_CANONNAME, AI_NUMERICHOST, AI_NUMERICSERV, AI_PASSIVE, AI_ADDRCONFIG, AI_V4MAPPED, AI_V4MAPPED | AI_ALL, AI_ALL,
                                AI_ADDRCONFIG | AI_V4MAPPED, AI_CANONNAME | AI_PASSIVE, AI_IDN, AI_CANONIDN | AI_CANONNAME, 0x10000};
    static const char *const few[] = {"host" Z, "four" Z, "six" Z, "alias2" Z, "nowhere" Z, "198.18.9.1", "bücher" Z, NULL};
    for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
        for (size_t i = 0; i < sizeof few / sizeof *few; i++)
            for (int family = 0; family < 3; family++)
                info(few[i], "http", family == 0 ? AF_UNSPEC : family == 1 ? AF_INET : AF_INET6, 0, flags[f]);
    info("host" Z, NULL, AF_UNSPEC, 0, 0);
    info("host" Z, "nosuchservice", AF_UNSPEC, SOCK_STREAM, 0);
    info("host" Z, "http", AF_UNSPEC, SOCK_STREAM, AI_NUMERICSERV);
    info("host" Z, "80", AF_UNSPEC, 77, 0);
    info("host" Z, "80", AF_UNIX, 0, 0);
    info("host" Z, "domain", AF_INET, SOCK_DGRAM, 0);
    info(NULL, NULL, AF_UNSPEC, 0, 0);
    struct addrinfo *list = NULL;
    printf("no hints");
    int result = getaddrinfo("two" Z, "80", NULL, &list);
    if (result)
        errors(result);
    show(list);
    freeaddrinfo(list);
}

static void entry(const struct hostent *h) {
    if (!h) {
        printf(" -> %s\n", h_errno == NETDB_INTERNAL ? strerror(errno) : hstrerror(h_errno));
        return;
    }
    printf(" %s type %d/%d aliases", h->h_name, h->h_addrtype, h->h_length);
    int n = 0;
    for (char **a = h->h_aliases; *a; a++)
        printf(" %s", *a);
    printf(" addresses");
    for (char **a = h->h_addr_list; *a; a++, n++) {
        char text[INET6_ADDRSTRLEN];
        printf(" %s", inet_ntop(h->h_addrtype, *a, text, sizeof text));
    }
    printf(" [%d]\n", n);
}

static void buffers(const char *name, int family, const char *address) {
    int small = -1, error = 0, result = 0;
    struct hostent h, *got = NULL;
    for (int size = 0; size < 16384; size += 8) {
        char *buffer = malloc(size + 8);
        memset(buffer + size, 0x5a, 8);
        unsigned char raw[16];
        result = address ? gethostbyaddr_r(raw, inet_pton(family, address, raw) ? (family == AF_INET ? 4 : 16) : 0, family, &h, buffer, size, &got, &error)
                         : gethostbyname2_r(name, family, &h, buffer, size, &got, &error);
        for (int i = 0; i < 8; i++)
            if (buffer[size + i] != 0x5a)
                printf("OVERRUN at %d ", size);
        if (result != ERANGE) {
            small = size;
            if (got)
                printf("%s %d:", name ? name : address, family), entry(got);
            else
                printf("%s %d: %d %s\n", name ? name : address, family, result, hstrerror(error));
            free(buffer);
            break;
        }
        if (error != NETDB_INTERNAL || got)
            printf("ERANGE with h_errno %d, result %p\n", error, (void *)got);
        free(buffer);
    }
    if (small > 8192 || small < 0)
        printf("took %d bytes\n", small);
}

static void hosts(void) {
    for (size_t i = 0; i < COUNT; i++) {
        printf("gethostbyname %s", names[i]);
        entry(gethostbyname(names[i]));
        printf("gethostbyname2 %s", names[i]);
        entry(gethostbyname2(names[i], AF_INET6));
    }
    static const char *const some[] = {"host" Z, "alias2" Z, "two" Z, "tc" Z, "nowhere" Z, "nodata" Z, "servfail" Z};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        buffers(some[i], AF_INET, NULL), buffers(some[i], AF_INET6, NULL);
    buffers("in-hosts", AF_INET, NULL);
    buffers(NULL, AF_INET, "198.18.9.1");
    buffers(NULL, AF_INET, "198.18.9.99");
    buffers(NULL, AF_INET6, "2001:2::9:1");
}

static void reverse(void) {
    static const char *const addresses[] = {"198.18.9.1", "198.18.9.2", "198.18.9.3", "198.18.9.4", "198.18.9.5", "198.18.9.6", "198.18.9.99", "198.18.99.1", "127.0.0.1",
                                            "2001:2::9:1", "2001:2::9:99", "::ffff:198.18.9.1", "::1", "0.0.0.0", "::"};
    static const int flags[] = {0, NI_NAMEREQD, NI_NUMERICHOST, NI_NOFQDN, NI_DGRAM, NI_NUMERICSERV, NI_NUMERICHOST | NI_NUMERICSERV, NI_IDN, 0x10000};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct sockaddr_storage address = {0};
        socklen_t length;
        unsigned char raw[16];
        int family = strchr(addresses[i], ':') ? AF_INET6 : AF_INET;
        inet_pton(family, addresses[i], raw);
        if (family == AF_INET) {
            struct sockaddr_in *four = (void *)&address;
            *four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(514)};
            memcpy(&four->sin_addr, raw, 4);
            length = sizeof *four;
        } else {
            struct sockaddr_in6 *six = (void *)&address;
            *six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(514)};
            memcpy(&six->sin6_addr, raw, 16);
            length = sizeof *six;
        }
        printf("gethostbyaddr %s", addresses[i]);
        entry(gethostbyaddr(raw, family == AF_INET ? 4 : 16, family));
        for (size_t f = 0; f < sizeof flags / sizeof *flags; f++) {
            char host[NI_MAXHOST] = "?", service[NI_MAXSERV] = "?";
            printf("getnameinfo %s %x", addresses[i], flags[f]);
            int result = getnameinfo((void *)&address, length, host, sizeof host, service, sizeof service, flags[f]);
            if (result)
                errors(result);
            printf(" %s %s\n", host, service);
        }
        char host[5] = "?";
        printf("getnameinfo %s in 5 bytes", addresses[i]);
        errors(getnameinfo((void *)&address, length, host, sizeof host, NULL, 0, 0));
        printf("\ngetnameinfo %s short address", addresses[i]);
        errors(getnameinfo((void *)&address, 4, host, sizeof host, NULL, 0, 0));
        printf("\n");
    }
}

// Everything of an answer but its number.
static void answer(int length, const unsigned char *bytes, int room) {
    printf(" %d", length);
    if (length < 0) {
        printf(" %s\n", hstrerror(h_errno));
        return;
    }
    unsigned sum = 0;
    for (int i = 2; i < length && i < room; i++)
        sum = sum * 31 + bytes[i];
    printf(" flags %02x%02x counts %d %d %d %d sum %08x\n", bytes[2], bytes[3], bytes[4] << 8 | bytes[5], bytes[6] << 8 | bytes[7], bytes[8] << 8 | bytes[9],
           bytes[10] << 8 | bytes[11], sum);
}

static void queries(void) {
    static unsigned char bytes[65536];
    static const char *const some[] = {"host" Z, "nowhere" Z, "nodata" Z, "servfail" Z, "refused" Z, "formerr" Z, "tc" Z, "noedns" Z, "short", "alias2" Z, "a..b", "badlabel" Z, "cut" Z};
    static const int types[] = {T_A, T_AAAA, T_MX, T_TXT, T_ANY};
    static const int rooms[] = {65536, 512, 100, 40, 12};
    res_init();
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            printf("res_query %s %d", some[i], types[t]);
            answer(res_query(some[i], C_IN, types[t], bytes, sizeof bytes), bytes, sizeof bytes);
            printf("res_search %s %d", some[i], types[t]);
            answer(res_search(some[i], C_IN, types[t], bytes, sizeof bytes), bytes, sizeof bytes);
        }
        for (size_t r = 0; r < sizeof rooms / sizeof *rooms; r++) {
            memset(bytes, 0x5a, sizeof bytes);
            printf("res_query %s in %d", some[i], rooms[r]);
            answer(res_query(some[i], C_IN, T_A, bytes, rooms[r]), bytes, rooms[r]);
            if (rooms[r] < (int)sizeof bytes && bytes[rooms[r]] != 0x5a)
                printf("OVERRUN\n");
        }
    }
    printf("res_querydomain");
    answer(res_querydomain("host", "example.test", C_IN, T_A, bytes, sizeof bytes), bytes, sizeof bytes);
    printf("res_querydomain without domain");
    answer(res_querydomain("host" Z ".", NULL, C_IN, T_A, bytes, sizeof bytes), bytes, sizeof bytes);

    unsigned char query[512];
    int length = res_mkquery(QUERY, "host" Z, C_IN, T_A, NULL, 0, NULL, query, sizeof query);
    printf("res_send");
    answer(res_send(query, length, bytes, sizeof bytes), bytes, sizeof bytes);
    printf("the same number: %d\n", !memcmp(query, bytes, 2));

    struct __res_state state;
    memset(&state, 0, sizeof state);
    printf("res_ninit %d\n", res_ninit(&state));
    for (int i = 0; i < 6; i++) {
        unsigned long options = state.options;
        state.options |= (unsigned long[]){0, RES_USEVC, RES_USE_EDNS0, RES_USE_EDNS0 | RES_USE_DNSSEC, RES_IGNTC, RES_TRUSTAD}[i];
        for (size_t n = 0; n < sizeof some / sizeof *some; n++) {
            printf("res_nquery %s option %d", some[n], i);
            int got = res_nquery(&state, some[n], C_IN, T_A, bytes, sizeof bytes);
            printf(" state %d", got < 0 ? state.res_h_errno : 0);
            answer(got, bytes, sizeof bytes);
        }
        printf("res_nsearch option %d", i);
        answer(res_nsearch(&state, "only.deep", C_IN, T_A, bytes, sizeof bytes), bytes, sizeof bytes);
        printf("res_nquerydomain option %d", i);
        answer(res_nquerydomain(&state, "host", "example.test", C_IN, T_AAAA, bytes, sizeof bytes), bytes, sizeof bytes);
        state.options = options;
    }
    length = res_nmkquery(&state, QUERY, "servfail" Z, C_IN, T_A, NULL, 0, NULL, query, sizeof query);
    printf("res_nsend servfail");
    int sent = res_nsend(&state, query, length, bytes, sizeof bytes);
    printf(" %d %s\n", sent, sent < 0 ? strerror(errno) : "");
    state.nscount = 0;
    printf("no server");
    sent = res_nsend(&state, query, length, bytes, sizeof bytes);
    printf(" %d %s\n", sent, sent < 0 ? strerror(errno) : "");
    res_nclose(&state);
}

// The name service itself, "dns" natively and "netkernel" in a guest: what it hands to the C library.
static void *function(const char *service, const char *call) {
    char name[100];
    snprintf(name, sizeof name, "_nss_%s_%s", service, call);
    void *found = dlsym(RTLD_DEFAULT, name);
    if (!found)
        printf("no %s\n", name), exit(1);
    return found;
}

// Where it succeeds only the time to live is defined, where it fails only the errors are.
static void triple(enum nss_status status, int error, int herror, int ttl) {
    if (status == NSS_STATUS_SUCCESS)
        printf(" status %d ttl %d", status, ttl);
    else
        printf(" status %d errno %d h_errno %d", status, error, herror);
}

static void module(const char *service) {
    enum nss_status (*by4)(const char *, struct gaih_addrtuple **, char *, size_t, int *, int *, int32_t *) = function(service, "gethostbyname4_r");
    enum nss_status (*by3)(const char *, int, struct hostent *, char *, size_t, int *, int *, int32_t *, char **) = function(service, "gethostbyname3_r");
    enum nss_status (*by2)(const char *, int, struct hostent *, char *, size_t, int *, int *) = function(service, "gethostbyname2_r");
    enum nss_status (*by)(const char *, struct hostent *, char *, size_t, int *, int *) = function(service, "gethostbyname_r");
    enum nss_status (*addr2)(const void *, socklen_t, int, struct hostent *, char *, size_t, int *, int *, int32_t *) = function(service, "gethostbyaddr2_r");
    static char buffer[65536];
    struct hostent h;
    for (size_t i = 0; i < COUNT; i++) {
        struct gaih_addrtuple *list = NULL;
        int error = 0, herror = 0;
        int32_t ttl = INT32_MAX;
        char *name = NULL;
        if (names[i][0] == '-' || strchr(names[i], ' ') || strstr(names[i], ".."))
            continue; // the C library asks no service for these
        enum nss_status status = by4(names[i], &list, buffer, sizeof buffer, &error, &herror, &ttl);
        printf("by4 %s:", names[i]);
        triple(status, error, herror, ttl);
        for (; status == NSS_STATUS_SUCCESS && list; list = list->next) {
            char text[INET6_ADDRSTRLEN];
            printf(" %s %s", list->name ? list->name : "-", inet_ntop(list->family, list->addr, text, sizeof text));
        }
        printf("\n");
        for (int family = AF_INET; family <= AF_INET6; family += AF_INET6 - AF_INET) {
            error = herror = 0, ttl = INT32_MAX;
            status = by3(names[i], family, &h, buffer, sizeof buffer, &error, &herror, &ttl, &name);
            printf("by3 %s %d:", names[i], family);
            triple(status, error, herror, ttl);
            if (status == NSS_STATUS_SUCCESS)
                printf(" canonical %s", name), entry(&h);
            else
                printf("\n");
        }
    }
    int error = 0, herror = 0;
    for (size_t size = 0; size < 256; size += 16) {
        error = herror = 0;
        enum nss_status status = by2("two" Z, AF_INET, &h, buffer, size, &error, &herror);
        if (status == NSS_STATUS_SUCCESS)
            break;
        if (status != NSS_STATUS_TRYAGAIN || error != ERANGE || herror != NETDB_INTERNAL)
            printf("by2 in %zu: status %d errno %d h_errno %d\n", size, status, error, herror);
        struct gaih_addrtuple *list = NULL;
        status = by4("two" Z, &list, buffer, size, &error, &herror, NULL);
        if (status != NSS_STATUS_SUCCESS && (status != NSS_STATUS_TRYAGAIN || error != ERANGE || herror != NETDB_INTERNAL))
            printf("by4 in %zu: status %d errno %d h_errno %d\n", size, status, error, herror);
    }
    printf("by %d\n", by("host" Z, &h, buffer, sizeof buffer, &error, &herror));
    static const char *const addresses[] = {"198.18.9.1", "198.18.9.2", "198.18.9.3", "198.18.9.4", "198.18.9.5", "198.18.9.6", "198.18.9.99", "2001:2::9:1", "2001:2::9:99",
                                            "::ffff:198.18.9.1", "198.18.99.1"};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        unsigned char raw[16];
        int family = strchr(addresses[i], ':') ? AF_INET6 : AF_INET;
        inet_pton(family, addresses[i], raw);
        for (int wrong = 0; wrong < 2; wrong++) {
            int32_t ttl = INT32_MAX;
            error = herror = 0;
            enum nss_status status = addr2(raw, (family == AF_INET ? 4 : 16) - wrong, family, &h, buffer, sizeof buffer, &error, &herror, &ttl);
            printf("addr2 %s:", addresses[i]);
            triple(status, error, herror, ttl);
            if (status == NSS_STATUS_SUCCESS)
                entry(&h);
            else
                printf("\n");
        }
    }
}

static void *hammer(void *argument) {
    long failures = 0;
    for (int i = 0; i < 40; i++) {
        struct addrinfo *list = NULL, hints = {.ai_socktype = SOCK_STREAM};
        const char *name = i % 2 ? "host" Z : "tc" Z;
        if (getaddrinfo(name, "80", &hints, &list))
            failures++;
        else
            freeaddrinfo(list);
    }
    *(long *)argument = failures;
    return NULL;
}

// Children first: the C library's own locks are not safe to fork while threads look names up.
static void threads(void) {
    pthread_t ids[8];
    long failures[8];
    hammer(&failures[0]);
    printf("parent %ld\n", failures[0]);
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            alarm(60);
            hammer(&failures[0]);
            _exit(failures[0] != 0);
        }
    hammer(&failures[0]);
    printf("parent %ld\n", failures[0]);
    for (int i = 0, status; i < 4; i++)
        wait(&status), printf("child %x\n", status);
    for (int i = 0; i < 8; i++)
        pthread_create(&ids[i], NULL, hammer, &failures[i]);
    for (int i = 0; i < 8; i++) {
        pthread_join(ids[i], NULL);
        printf("thread %ld\n", failures[i]);
    }
}

static void asynchronous(void) {
    struct gaicb first = {.ar_name = "host" Z, .ar_service = "80"}, second = {.ar_name = "nowhere" Z}, third = {.ar_name = "tc" Z, .ar_service = "443"};
    struct gaicb *list[] = {&first, &second, &third};
    printf("getaddrinfo_a %d\n", getaddrinfo_a(GAI_WAIT, list, 3, NULL));
    for (int i = 0; i < 3; i++) {
        printf("%s", list[i]->ar_name);
        errors(gai_error(list[i]));
        if (!gai_error(list[i])) {
            show(list[i]->ar_result);
            freeaddrinfo(list[i]->ar_result);
        } else
            printf("\n");
    }
}

static void *lookup_dead(void *unused) {
    struct addrinfo *list;
    (void)unused;
    getaddrinfo("dead" Z, "80", NULL, &list);
    return NULL;
}

// A lookup that waits for its answer is cancelled; its fds do not pile up.
static void cancelled(void) {
    info("host" Z, "80", AF_UNSPEC, SOCK_STREAM, 0);
    int before = dup(0);
    close(before);
    for (int i = 0; i < 20; i++) {
        pthread_t id;
        void *result;
        pthread_create(&id, NULL, lookup_dead, NULL);
        usleep(20000 + 1000 * i);
        pthread_cancel(id);
        pthread_join(id, &result);
        printf("cancelled %d\n", result == PTHREAD_CANCELED);
    }
    int after = dup(0);
    // glibc's own keeps one now and then, when the cancellation comes between its making and its being noted.
    printf("fds kept: %s\n", after - before <= 4 ? "few" : "one by each");
    info("host" Z, "80", AF_UNSPEC, SOCK_STREAM, 0);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "infos"))
            infos();
        else if (!strcmp(argv[i], "hosts"))
            hosts();
        else if (!strcmp(argv[i], "reverse"))
            reverse();
        else if (!strcmp(argv[i], "queries"))
            queries();
        else if (!strcmp(argv[i], "threads"))
            threads();
        else if (!strcmp(argv[i], "asynchronous"))
            asynchronous();
        else if (!strcmp(argv[i], "cancelled"))
            cancelled();
        else if (!strncmp(argv[i], "module=", 7))
            module(argv[i] + 7);
        else if (argv[i][0] == '@')
            info(argv[i] + 1, "80", AF_UNSPEC, SOCK_STREAM, AI_CANONNAME);
    return 0;
}
