// The callers of an agent, for its benchmarks.
//
//   agent_load ask SOCKET PATH                      one exchange as claviger token makes it; prints the answer's body
//   agent_load rate SOCKET PATH CONNECTIONS COUNT   COUNT requests over CONNECTIONS kept-alive connections
//   agent_load burst SOCKET PATH CALLERS            CALLERS connections at once, with one request each

#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int connected(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0) die("socket");
    if (connect(s, (struct sockaddr *)&address, sizeof address) != 0) die("connect");
    return s;
}

static char request[4096];
static size_t request_length;

static void make_request(const char *path, const char *connection) {
    request_length = snprintf(
        request, sizeof request, "GET %s HTTP/1.1\r\nHost: agent\r\nAccept: text/plain\r\n%s\r\n", path, connection);
}

// The length of the answer at the start of the buffer, or 0 if it is not whole yet.
static size_t answer_length(const char *buffer, size_t length, size_t *body) {
    const char *end = memmem(buffer, length, "\r\n\r\n", 4);
    if (!end) return 0;
    const char *field = memmem(buffer, end - buffer, "ontent-", 7);
    while (field && strncasecmp(field, "ontent-length:", 14) != 0)
        field = memmem(field + 1, end - field - 1, "ontent-", 7);
    if (!field) return 0;
    *body = strtoul(field + 14, NULL, 10);
    size_t whole = end + 4 - buffer + *body;
    return length >= whole ? whole : 0;
}

static int ask(const char *path) {
    int s = connected(path);
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) die("getsockopt");
    if (peer.uid != geteuid() && peer.uid != 0) return 1;
    if (send(s, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) die("send");
    static char buffer[65536];
    size_t filled = 0, body = 0, whole;
    while (!(whole = answer_length(buffer, filled, &body))) {
        ssize_t count = recv(s, buffer + filled, sizeof buffer - filled, 0);
        if (count <= 0) die("recv");
        filled += count;
    }
    fwrite(buffer + whole - body, 1, body, stdout);
    putchar('\n');
    return strncmp(buffer, "HTTP/1.1 200", 12) != 0;
}

struct caller {
    int socket;
    double sent;
    size_t filled;
    char buffer[2048];
};

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void say(struct caller *caller) {
    caller->sent = now();
    if (send(caller->socket, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) die("send");
}

// Waits for the answers of all callers; each asks again until `count` requests have been sent.
static int run(const char *path, int callers, long count) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct caller *all = calloc(callers, sizeof *all);
    double *times = malloc(count * sizeof *times);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < callers; i++) {
        all[i].socket = connected(path);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, all[i].socket, &event);
    }
    double start = now();
    long sent = 0, done = 0, refused = 0;
    for (int i = 0; i < callers && sent < count; i++, sent++) say(&all[i]);
    while (done < count) {
        struct epoll_event events[256];
        int ready = epoll_wait(poll, events, 256, 60000);
        if (ready <= 0) die("no answer within a minute");
        for (int i = 0; i < ready; i++) {
            struct caller *caller = events[i].data.ptr;
            ssize_t got = recv(caller->socket, caller->buffer + caller->filled, sizeof caller->buffer - caller->filled, 0);
            if (got <= 0) die("recv");
            caller->filled += got;
            size_t body;
            if (!answer_length(caller->buffer, caller->filled, &body)) continue;
            times[done++] = now() - caller->sent;
            refused += strncmp(caller->buffer, "HTTP/1.1 200", 12) != 0;
            caller->filled = 0;
            if (sent < count) {
                say(caller);
                sent++;
            }
        }
    }
    double took = now() - start;
    qsort(times, count, sizeof *times, by_value);
    printf("%ld answers (%ld refusals) in %.0f ms: %.0f a second, median %.2f ms, p99 %.2f ms, last %.0f ms\n", count, refused,
           took * 1e3, count / took, times[count / 2] * 1e3, times[count * 99 / 100] * 1e3, times[count - 1] * 1e3);
    return refused != 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "ask") == 0) {
        make_request(argv[3], "Connection: close\r\n");
        return ask(argv[2]);
    }
    make_request(argc > 3 ? argv[3] : "", "");
    if (argc == 6 && strcmp(argv[1], "rate") == 0) return run(argv[2], atoi(argv[4]), atol(argv[5]));
    if (argc == 5 && strcmp(argv[1], "burst") == 0) return run(argv[2], atoi(argv[4]), atol(argv[4]));
    fputs("usage: agent_load ask|rate|burst SOCKET PATH ...\n", stderr);
    return 64;
}
