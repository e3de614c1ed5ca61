// System calls that Swift does not import: variadic ones, and those that glibc hides behind _GNU_SOURCE.
#ifndef CLAVIGER_CLINUX_SHIM_H
#define CLAVIGER_CLINUX_SHIM_H

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/// errno, a macro, for code without Glibc's Swift module.
static inline int claviger_errno(void) { return errno; }

/// The environment, `NAME=VALUE` each, with a null at the end (environ(7)).
static inline char **claviger_environment(void) {
    extern char **environ;
    return environ;
}

/// prctl(2): no core dump, no ptrace and no /proc/PID/mem for other processes of the same user.
/// Returns 0, or -1 with errno.
static inline int claviger_clear_dumpable(void) {
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/// copy_file_range(2) from an offset, which it advances, to the other file's position.
/// Returns the number of bytes, or -1 with errno.
static inline int64_t claviger_copy_file_range(int from, int64_t *offset, int to, uint64_t count) {
    return syscall(SYS_copy_file_range, from, offset, to, (void *)0, (size_t)count, 0u);
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

/// Starts a program that is nobody's child: whoever waits for all of its own children never waits for this one.
/// It has every open file that is not closed at exec(2), and no signal blocked. Returns 0, or -1 with errno.
static inline int claviger_spawn_orphan(const char *path, char *const argv[], char *const envp[]) {
    // Between fork and exec nothing but system calls: other threads may hold any lock.
    pid_t child = fork();
    if (child == 0) {
        pid_t orphan = fork();
        if (orphan == 0) {
            sigset_t none;
            sigemptyset(&none);
            sigprocmask(SIG_SETMASK, &none, (sigset_t *)0);
            execve(path, argv, envp);
            _exit(127);
        }
        _exit(orphan < 0 ? 1 : 0);
    }
    if (child < 0) return -1;
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -1;
    if (status != 0) errno = EAGAIN;
    return status == 0 ? 0 : -1;
}

/// pidfd_open(2): becomes readable when the process has ended. Returns a descriptor, closed at exec(2), or -1 with errno.
static inline int claviger_pidfd_open(pid_t pid) {
    return (int)syscall(434 /* SYS_pidfd_open on every architecture */, pid, 0u);
}

#endif
