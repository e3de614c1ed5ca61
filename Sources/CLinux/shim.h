// System calls that Swift does not import: variadic ones, and those that glibc hides behind _GNU_SOURCE.
#ifndef CLAVIGER_CLINUX_SHIM_H
#define CLAVIGER_CLINUX_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/// errno, a macro, for code without Glibc's Swift module.
static inline int claviger_errno(void) { return errno; }

/// Waits until a descriptor can be written, or read, or has failed. For streams that somebody else has made non-blocking
/// (O_NONBLOCK belongs to the open file, which other processes have, too, and so it is not ours to change).
static inline void claviger_wait_to_write(int descriptor) {
    struct pollfd one = {descriptor, POLLOUT, 0};
    poll(&one, 1, -1);
}
static inline void claviger_wait_to_read(int descriptor) {
    struct pollfd one = {descriptor, POLLIN, 0};
    poll(&one, 1, -1);
}

/// The environment, `NAME=VALUE` each, with a null at the end (environ(7)).
static inline char **claviger_environment(void) {
    extern char **environ;
    return environ;
}

/// The path that this program was executed by (getauxval(3), AT_EXECFN), as the kernel was given it; null if it does not say.
static inline const char *claviger_executed_path(void) {
    return (const char *)getauxval(AT_EXECFN);
}

/// memmem(3): where a word stands in memory; null for nowhere.
static inline const void *claviger_find(const void *bytes, size_t count, const void *word, size_t length) {
    extern void *memmem(const void *, size_t, const void *, size_t);
    return memmem(bytes, count, word, length);
}

/// prctl(2): no core dump, no ptrace and no /proc/PID/mem for other processes of the same user.
/// Returns 0, or -1 with errno.
static inline int claviger_clear_dumpable(void) {
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/// prctl(2), PR_SET_NAME: what ps(1) and pkill(1) call this process, up to 15 bytes.
static inline void claviger_set_process_name(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

/// mallopt(3), M_PERTURB: memory that is freed is filled with this byte.
static inline void claviger_fill_freed_memory(int byte) {
    extern int mallopt(int, int);
    mallopt(-6, byte);
}

/// O_PATH (open(2)), which glibc shows to _GNU_SOURCE alone: a place in the file system, of which nothing is read.
enum { CLAVIGER_O_PATH = 010000000 };

/// copy_file_range(2) from an offset, which it advances, to the other file's position.
/// Returns the number of bytes, or -1 with errno.
static inline int64_t claviger_copy_file_range(int from, int64_t *offset, int to, uint64_t count) {
    return syscall(SYS_copy_file_range, from, offset, to, (void *)0, (size_t)count, 0u);
}

/// The access control list of an open file, or of what a path names (acl(5), xattr(7)), as the kernel has it.
/// Returns the number of bytes, or -1 with errno.
static inline int64_t claviger_access_list(int descriptor, void *bytes, size_t count) {
    return fgetxattr(descriptor, "system.posix_acl_access", bytes, count);
}
static inline int64_t claviger_access_list_at(const char *path, void *bytes, size_t count) {
    return getxattr(path, "system.posix_acl_access", bytes, count);
}

/// renameat2(2) that refuses a name that is taken. Returns 0, or -1 with errno.
static inline int claviger_rename_new(const char *from, const char *to) {
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1u);
}

/// posix_spawn_file_actions_addclosefrom_np(3) from the first descriptor behind the three streams: a child of ours
/// inherits nothing else. Returns 0, or an error number.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
static inline int claviger_spawn_streams_only(posix_spawn_file_actions_t *actions) {
    return posix_spawn_file_actions_addclosefrom_np(actions, 3);
}

/// SO_PEERCRED (unix(7)), which glibc shows to _GNU_SOURCE alone: who had the other end of a Unix socket when it was
/// connected or began to listen.
struct claviger_peer {
    int32_t pid;
    uint32_t uid;
    uint32_t gid;
};
enum { CLAVIGER_SO_PEERCRED = 17, CLAVIGER_SO_PEERGROUPS = 59 };

/// SO_PEERGROUPS: the further groups of whoever has the other end. As large as an option may be that is read in one piece.
struct claviger_groups {
    uint32_t gids[256];
};

/// Returns 0, or -1 with errno.
static inline int claviger_get_peer(int descriptor, struct claviger_peer *peer) {
    socklen_t length = sizeof *peer;
    return getsockopt(descriptor, SOL_SOCKET, CLAVIGER_SO_PEERCRED, peer, &length);
}

/// The lock of an open file description (fcntl(2)), which glibc shows to _GNU_SOURCE alone.
enum { CLAVIGER_F_OFD_SETLK = 37 };

/// fallocate(2) with FALLOC_FL_KEEP_SIZE: takes the blocks of the first `count` bytes; the file stays as long as it is.
/// Returns 0, or -1 with errno.
static inline int claviger_reserve(int descriptor, int64_t count) {
    return (int)syscall(SYS_fallocate, descriptor, 1, (off_t)0, (off_t)count);
}

/// pipe2(2): both ends are closed at exec(2). Returns 0, or -1 with errno.
// Has a pipe take so many bytes without a reader (fcntl(2), F_SETPIPE_SZ). Returns how many it takes, or -1.
static inline int claviger_widen_pipe(int end, int bytes) { return fcntl(end, 1031, bytes); }

static inline int claviger_pipe(int ends[2]) {
    return (int)syscall(SYS_pipe2, ends, O_CLOEXEC);
}

/// What a program is started with.
struct claviger_child {
    const char *path;
    char *const *argv;
    char *const *envp;
    /// For each of the child's descriptors from 0 on: the one that is put there, or -1 for the one that is there already.
    /// None is smaller than `count`, so that none is overwritten before it is used.
    const int *descriptors;
    int count;
    /// Whether every further descriptor is closed.
    int closes_others;
    int starts_session;
    /// The folder to start in, or null for this one.
    const char *folder;
};

/// posix_spawn_file_actions_addclosefrom_np(3) and posix_spawn_file_actions_addchdir_np(3), for _GNU_SOURCE alone.
extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);

/// Starts a child by posix_spawn(3): no signal is blocked in it, and each has its usual effect. Returns 0, or an error number.
static inline int claviger_spawn(const struct claviger_child *child, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code = posix_spawn_file_actions_init(&actions);
    if (code != 0) return code;
    code = posix_spawnattr_init(&attributes);
    for (int number = 0; code == 0 && number < child->count; number++)
        if (child->descriptors[number] >= 0)
            code = posix_spawn_file_actions_adddup2(&actions, child->descriptors[number], number);
    if (code == 0 && child->closes_others) code = posix_spawn_file_actions_addclosefrom_np(&actions, child->count);
    if (code == 0 && child->folder) code = posix_spawn_file_actions_addchdir_np(&actions, child->folder);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (code == 0) code = posix_spawnattr_setsigmask(&attributes, &none);
    if (code == 0) code = posix_spawnattr_setsigdefault(&attributes, &all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (child->starts_session ? 0x80 /* POSIX_SPAWN_SETSID */ : 0);
    if (code == 0) code = posix_spawnattr_setflags(&attributes, flags);
    if (code == 0) code = posix_spawnp(pid, child->path, &actions, &attributes, child->argv, child->envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

/// What a forked child does: system calls only, for other threads of its parent may have held any lock.
static inline void claviger_become(const struct claviger_child *child) {
    struct sigaction usual;
    memset(&usual, 0, sizeof usual);
    usual.sa_handler = SIG_DFL;
    for (int number = 1; number <= 64; number++) sigaction(number, &usual, (struct sigaction *)0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, (sigset_t *)0);
    if (child->starts_session && setsid() < 0) return;
    for (int number = 0; number < child->count; number++)
        if (child->descriptors[number] >= 0 && dup2(child->descriptors[number], number) < 0) return;
    // 436 is close_range(2) on every architecture. A kernel without it, older than 5.9, starts nothing here.
    if (child->closes_others && syscall(436, (unsigned)child->count, ~0u, 0u) != 0) return;
    if (child->folder && chdir(child->folder) != 0) return;
    execve(child->path, child->argv, child->envp);
}

/// Starts a program that is nobody's child: whoever waits for all of its own children never waits for this one.
/// A program that can't be executed ends with status 127, which nobody sees. Returns 0, or -1 with errno.
static inline int claviger_spawn_orphan(const struct claviger_child *child) {
    pid_t middle = fork();
    if (middle == 0) {
        pid_t orphan = fork();
        if (orphan == 0) {
            claviger_become(child);
            _exit(127);
        }
        _exit(orphan < 0 ? 1 : 0);
    }
    if (middle < 0) return -1;
    int status = 0;
    while (waitpid(middle, &status, 0) < 0)
        if (errno != EINTR) return -1;
    if (status != 0) errno = EAGAIN;
    return status == 0 ? 0 : -1;
}

/// Starts a program as a child in the same process group, with everything that this process has: what a process does that
/// would rather be replaced by it, but must stay. The child's SIGCHLD is ignored if `ignores_children`.
/// Returns 0, or an error number.
static inline int claviger_spawn_alike(char *const *argv, int ignores_children, pid_t *pid) {
    int ends[2];
    if (claviger_pipe(ends) != 0) return errno;
    *pid = fork();
    if (*pid == 0) {
        if (ignores_children) signal(SIGCHLD, SIG_IGN);
        execvp(argv[0], argv);
        int code = errno;
        if (write(ends[1], &code, sizeof code) < 0) { /* The status says that it failed. */ }
        _exit(127);
    }
    int code = *pid < 0 ? errno : 0;
    close(ends[1]);
    // Nothing comes if the program runs: the pipe closes then.
    while (*pid > 0 && read(ends[0], &code, sizeof code) < 0 && errno == EINTR) {}
    close(ends[0]);
    return code;
}

/// Where the number of a caught signal is written: one place for the whole process, as handlers are.
static inline volatile sig_atomic_t *claviger_signal_pipe(void) {
    static volatile sig_atomic_t writing_end = -1;
    return &writing_end;
}

/// A handler: write(2) is all that it may safely call here (signal-safety(7)).
static inline void claviger_note_signal(int number) {
    int code = errno;
    unsigned char byte = (unsigned char)number;
    if (write((int)*claviger_signal_pipe(), &byte, 1) < 0) { /* A full pipe holds enough of them. */ }
    errno = code;
}

/// The same for a signal that is to be passed on: not what a terminal sends, which the whole process group has from it.
static inline void claviger_note_sent_signal(int number, siginfo_t *info, void *context) {
    (void)context;
    if (number == SIGCHLD || info->si_code <= 0) claviger_note_signal(number);
}

/// Has a signal noted instead of obeyed, if its usual action (SIG_DFL) is set: what is ignored stays so. System calls are
/// interrupted by it. Use it from one Swift file only: every object file has a pipe of its own.
/// Returns whether that was done.
static inline int claviger_catch_signal(int number, int writing_end, int only_sent) {
    struct sigaction action;
    if (sigaction(number, (struct sigaction *)0, &action) != 0 || action.sa_flags & SA_SIGINFO) return 0;
    if (action.sa_handler != SIG_DFL) return 0;
    *claviger_signal_pipe() = writing_end;
    memset(&action, 0, sizeof action);
    sigfillset(&action.sa_mask);
    if (only_sent) {
        action.sa_sigaction = claviger_note_sent_signal;
        action.sa_flags = SA_SIGINFO;
    } else {
        action.sa_handler = claviger_note_signal;
    }
    return sigaction(number, &action, (struct sigaction *)0) == 0;
}

/// pidfd_open(2): becomes readable when the process has ended. Returns a descriptor, closed at exec(2), or -1 with errno.
static inline int claviger_pidfd_open(pid_t pid) {
    return (int)syscall(434 /* SYS_pidfd_open on every architecture */, pid, 0u);
}

/// One end of an IPv4 connection, in the machine's byte order.
struct claviger_tcp_end {
    uint32_t address;
    uint16_t port;
};

/// What the kernel says of a TCP socket.
struct claviger_tcp_socket {
    /// Who made it; 0 also where the kernel does not know any more.
    uint32_t uid;
    /// 0 for what no process has open.
    uint32_t inode;
};

/// Whether an address of a socket is this one: a socket of AF_INET6 has ::ffff:a.b.c.d in its place.
static inline int claviger_is_address(uint8_t family, const __be32 words[4], uint32_t address) {
    if (family == AF_INET) return words[0] == htonl(address);
    return family == AF_INET6 && words[0] == 0 && words[1] == 0 && words[2] == htonl(0xffff) && words[3] == htonl(address);
}

/// Finds the socket of this machine with these two ends, or the one that listens there if the other end is all zeros
/// (sock_diag(7)). Returns 0, or -1 with errno: ENOENT if there is none.
static inline int claviger_find_tcp(struct claviger_tcp_end own, struct claviger_tcp_end other, struct claviger_tcp_socket *found) {
    int link = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (link < 0) return -1;
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } request;
    memset(&request, 0, sizeof request);
    request.head.nlmsg_len = sizeof request;
    request.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.head.nlmsg_flags = NLM_F_REQUEST;
    request.body.sdiag_family = AF_INET;
    request.body.sdiag_protocol = IPPROTO_TCP;
    request.body.idiag_states = ~0u;
    request.body.id.idiag_sport = htons(own.port);
    request.body.id.idiag_dport = htons(other.port);
    request.body.id.idiag_src[0] = htonl(own.address);
    request.body.id.idiag_dst[0] = htonl(other.address);
    request.body.id.idiag_cookie[0] = request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    union {
        struct nlmsghdr head;
        char bytes[4096];
    } answer;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK}, sender = {0};
    socklen_t length = sizeof sender;
    int64_t count = sendto(link, &request, sizeof request, 0, (struct sockaddr *)&kernel, sizeof kernel);
    // The answer is there when the request has been sent.
    if (count >= 0) count = recvfrom(link, &answer, sizeof answer, MSG_DONTWAIT, (struct sockaddr *)&sender, &length);
    int code = count < 0 ? errno : 0;
    close(link);
    errno = code;
    if (count < 0) return -1;
    errno = EBADMSG;
    if (sender.nl_pid != 0 || count < (int64_t)NLMSG_HDRLEN || answer.head.nlmsg_len > (uint64_t)count) return -1;
    if (answer.head.nlmsg_type == NLMSG_ERROR && answer.head.nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr))) {
        errno = -((struct nlmsgerr *)NLMSG_DATA(&answer.head))->error;
        return -1;
    }
    if (answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY || answer.head.nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
        return -1;
    const struct inet_diag_msg *message = (const struct inet_diag_msg *)NLMSG_DATA(&answer.head);
    // Where there is no such connection, the kernel tells of a listener.
    errno = ENOENT;
    if (message->id.idiag_sport != htons(own.port) || message->id.idiag_dport != htons(other.port)) return -1;
    if (!claviger_is_address(message->idiag_family, message->id.idiag_src, own.address)) return -1;
    if (!claviger_is_address(message->idiag_family, message->id.idiag_dst, other.address)) return -1;
    // A client that only asks for a connection is not the one that has been accepted.
    if (message->idiag_state == 2 /* TCP_SYN_SENT */) return -1;
    found->uid = message->idiag_uid;
    found->inode = message->idiag_inode;
    return 0;
}

#endif
