// System calls that Swift does not import: variadic ones, and those that glibc hides behind _GNU_SOURCE.
#ifndef CLAVIGER_CLINUX_SHIM_H
#define CLAVIGER_CLINUX_SHIM_H

#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

#endif
