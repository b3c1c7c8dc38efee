/* sockmap CGROUP PORT...: joins the two ends of TCP connections of this machine to these ports in a BPF sockmap, so that what one end sends goes straight into the other's receive queue
 * (bpf(2), BPF_MAP_TYPE_SOCKHASH; a sockops program fills the map, an sk_msg program redirects). For programs in that cgroup (v2), from when it has printed "ready" until it ends.
 * Exit code 3 with a reason: this kernel or this user cannot. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long bpf(int command, union bpf_attr *attr) { return syscall(SYS_bpf, command, attr, sizeof *attr); }
static void cannot(const char *what) { fprintf(stderr, "sockmap: %s: %s\n", what, strerror(errno)); exit(3); }

#define INSN(c, d, s, o, i) ((struct bpf_insn) { .code = c, .dst_reg = d, .src_reg = s, .off = o, .imm = i })
#define MOV(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOVI(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADDI(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define RSHI(d, i) INSN(BPF_ALU64 | BPF_RSH | BPF_K, d, 0, 0, i)
#define LOADW(d, s, o) INSN(BPF_LDX | BPF_MEM | BPF_W, d, s, o, 0)
#define STOREW(d, s, o) INSN(BPF_STX | BPF_MEM | BPF_W, d, s, o, 0)
#define BE16(d) INSN(BPF_ALU | BPF_END | BPF_TO_BE, d, 0, 0, 16)
#define JEQ(d, i, o) INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, o, i)
#define JA(o) INSN(BPF_JMP | BPF_JA, 0, 0, o, 0)
#define MAPFD(d, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int load(enum bpf_prog_type type, enum bpf_attach_type attach, const struct bpf_insn *code, size_t bytes, const char *name)
{
    static char log[65536];
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.prog_type = type;
    a.expected_attach_type = attach;
    a.insns = (uintptr_t)code;
    a.insn_cnt = bytes / sizeof *code;
    a.license = (uintptr_t)"GPL";
    a.log_buf = (uintptr_t)log;
    a.log_size = sizeof log;
    a.log_level = 1;
    int fd = bpf(BPF_PROG_LOAD, &a);
    if (fd < 0) { fputs(log, stderr); cannot(name); }
    return fd;
}

static void attach(int program, int target, enum bpf_attach_type type, const char *what)
{
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.target_fd = target;
    a.attach_bpf_fd = program;
    a.attach_type = type;
    if (bpf(BPF_PROG_ATTACH, &a)) cannot(what);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.map_type = BPF_MAP_TYPE_SOCKHASH;
    a.key_size = 8; /* the port of the end that the entry is, then its peer's */
    a.value_size = 4;
    a.max_entries = 65536;
    int map = bpf(BPF_MAP_CREATE, &a);
    if (map < 0) cannot("a sockhash cannot be made");

    /* An established connection: its socket goes in under (local port, remote port). Connections to other ports are left alone: at most four ports are looked for. */
    struct bpf_insn ops[64];
    int n = 0, ports = argc - 2 < 4 ? argc - 2 : 4;
    ops[n++] = MOV(6, 1);
    ops[n++] = LOADW(2, 6, offsetof(struct bpf_sock_ops, op));
    ops[n++] = JEQ(2, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, 3);
    ops[n++] = JEQ(2, BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, 2);
    ops[n++] = MOVI(0, 1);
    ops[n++] = EXIT;
    ops[n++] = LOADW(7, 6, offsetof(struct bpf_sock_ops, local_port));
    ops[n++] = LOADW(8, 6, offsetof(struct bpf_sock_ops, remote_port)); /* network order in the upper half */
    ops[n++] = INSN(BPF_ALU | BPF_END | BPF_TO_BE, 8, 0, 0, 32);
    for (int i = 0; i < ports; i++) {
        ops[n] = JEQ(7, atoi(argv[2 + i]), 2 * (ports - i) + 1); n++;
        ops[n] = JEQ(8, atoi(argv[2 + i]), 2 * (ports - i)); n++;
    }
    ops[n++] = MOVI(0, 1);
    ops[n++] = EXIT;
    ops[n++] = STOREW(10, 7, -8);
    ops[n++] = STOREW(10, 8, -4);
    ops[n++] = MOV(1, 6);
    struct bpf_insn update[] = { MAPFD(2, map), MOV(3, 10), ADDI(3, -8), MOVI(4, BPF_ANY), CALL(BPF_FUNC_sock_hash_update), MOVI(0, 1), EXIT };
    memcpy(ops + n, update, sizeof update);
    int sockops = load(BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, ops, n * sizeof *ops + sizeof update, "the sockops program is refused");

    /* What is sent: into the receive queue of the socket under (remote port, local port), which is the other end's. None there: as ever. */
    struct bpf_insn message[] = {
        MOV(6, 1),
        LOADW(7, 6, offsetof(struct sk_msg_md, remote_port)),
        INSN(BPF_ALU | BPF_END | BPF_TO_BE, 7, 0, 0, 32),
        LOADW(8, 6, offsetof(struct sk_msg_md, local_port)),
        STOREW(10, 7, -8), STOREW(10, 8, -4),
        MOV(1, 6), MAPFD(2, map), MOV(3, 10), ADDI(3, -8), MOVI(4, BPF_F_INGRESS), CALL(BPF_FUNC_msg_redirect_hash),
        MOVI(0, SK_PASS), EXIT,
    };
    int verdict = load(BPF_PROG_TYPE_SK_MSG, BPF_SK_MSG_VERDICT, message, sizeof message, "the sk_msg program is refused");
    int cgroup = open(argv[1], O_RDONLY | O_DIRECTORY);
    if (cgroup < 0) cannot(argv[1]);
    attach(verdict, map, BPF_SK_MSG_VERDICT, "the sk_msg program cannot be attached");
    memset(&a, 0, sizeof a);
    a.link_create.prog_fd = sockops;
    a.link_create.target_fd = cgroup;
    a.link_create.attach_type = BPF_CGROUP_SOCK_OPS;
    if (bpf(BPF_LINK_CREATE, &a) < 0) cannot("the sockops program cannot be attached"); /* goes with this process */
    printf("ready\n");
    fflush(stdout);
    pause();
    return 0;
}
