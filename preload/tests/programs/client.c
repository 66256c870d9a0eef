/* What Python does not call: client WAY PORT prints what the server said, or "ok". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in where;

static int begin(void) {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int result = connect(s, (struct sockaddr *)&where, sizeof where);
    assert(result == 0 || errno == EINPROGRESS);
    return s;
}

static void said(int s) {
    int error = -1;
    socklen_t length = sizeof error;
    char text[100];
    assert(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0 && length == sizeof error);
    struct pollfd readable = {s, POLLIN, 0};
    assert(poll(&readable, 1, 10000) == 1);
    ssize_t count = read(s, text, sizeof text);
    assert(count > 0);
    printf("%.*s\n", (int)count, text);
}

static void wait_by_poll(int s) {
    struct pollfd writable = {s, POLLOUT, 0};
    assert(poll(&writable, 1, 10000) == 1 && writable.revents == POLLOUT);
}

static void way_ppoll(void) {
    struct timespec limit = {10, 0};
    struct pollfd writable = {begin(), POLLOUT, 0};
    assert(ppoll(&writable, 1, &limit, NULL) == 1 && writable.revents == POLLOUT);
    said(writable.fd);
}

static void way_pselect(void) {
    struct timespec limit = {10, 0};
    int s = begin();
    fd_set set;
    FD_ZERO(&set);
    FD_SET(s, &set);
    assert(pselect(s + 1, NULL, &set, NULL, &limit, NULL) == 1 && FD_ISSET(s, &set));
    said(s);
}

static void way_epoll_pointer(void) {
    struct epoll_event event = {EPOLLOUT | EPOLLET, {.ptr = &where}}, got;
    int set = epoll_create1(0), s = begin();
    assert(epoll_ctl(set, EPOLL_CTL_ADD, s, &event) == 0);
    assert(epoll_pwait(set, &got, 1, 10000, NULL) == 1 && got.data.ptr == &where && got.events == EPOLLOUT);
    said(s);
}

static void way_dup2(void) {
    int s = begin(), copy = open("/dev/null", O_RDONLY);
    assert(dup2(s, copy) == copy);
    close(s);
    int third = fcntl(copy, F_DUPFD_CLOEXEC, 100);
    assert(third >= 100);
    close(copy);
    wait_by_poll(third);
    said(third);
}

/* A number that was closed behind our back belongs to another file. */
static void way_reused_number(void) {
    int s = begin(), pipes[2];
    assert(close_range(s, s, 0) == 0);
    assert(pipe(pipes) == 0 && pipes[0] == s);
    struct pollfd readable = {s, POLLIN, 0};
    assert(write(pipes[1], "x", 1) == 1 && poll(&readable, 1, 10000) == 1 && readable.revents == POLLIN);
    close(pipes[0]);
    close(pipes[1]);
    int stream = begin();
    wait_by_poll(stream);
    FILE *file = fdopen(stream, "r");
    fclose(file);
    s = begin();
    assert(s == stream);
    wait_by_poll(s);
    said(s);
}

/* The child works on the memory of its parent. */
static void way_vfork(void) {
    int s = begin();
    pid_t child = vfork();
    if (child == 0) {
        close(s);
        _exit(0);
    }
    assert(waitpid(child, NULL, 0) == child);
    wait_by_poll(s);
    said(s);
}

static void way_made_blocking(void) {
    int s = begin();
    fcntl(s, F_SETFL, fcntl(s, F_GETFL) & ~O_NONBLOCK);
    wait_by_poll(s);
    assert(!(fcntl(s, F_GETFL) & O_NONBLOCK));
    said(s);
}

static void way_errno(void) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    errno = 77;
    assert(connect(s, (struct sockaddr *)&where, sizeof where) == 0 && errno == 77);
    said(s);
    errno = 78;
    assert(close(s) == 0 && errno == 78);
    assert(connect(-1, (struct sockaddr *)&where, sizeof where) == -1 && errno == EBADF);
    assert(connect(0, NULL, 0) == -1);
    int file = open("/dev/null", O_RDONLY);
    assert(connect(file, (struct sockaddr *)&where, sizeof where) == -1 && errno == ENOTSOCK);
}

static void *waits(void *argument) {
    struct pollfd never = {*(int *)argument, POLLIN, 0};
    poll(&never, 1, -1);
    return NULL;
}

/* Cancelling unwinds the stack of the thread, ours included. */
static void way_cancel(void) {
    int pipes[2];
    void *result;
    pthread_t thread;
    begin();
    assert(pipe(pipes) == 0 && pthread_create(&thread, NULL, waits, &pipes[0]) == 0);
    pthread_cancel(thread);
    assert(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    puts("ok");
}

static void *talks(void *argument) {
    (void)argument;
    for (int i = 0; i < 50; i++) {
        int s = begin(), error;
        socklen_t length = sizeof error;
        struct pollfd writable = {s, POLLOUT, 0};
        assert(poll(&writable, 1, 10000) == 1);
        assert(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0);
        close(s);
        if (i % 10 == 0) {
            pid_t child = fork();
            if (child == 0) {
                close(begin());
                _exit(0);
            }
            int status;
            assert(waitpid(child, &status, 0) == child && status == 0);
        }
    }
    return NULL;
}

static void way_threads(void) {
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert(pthread_create(&threads[i], NULL, talks, NULL) == 0);
    for (int i = 0; i < 8; i++)
        assert(pthread_join(threads[i], NULL) == 0);
    puts("ok");
}

static void way_time_is_over(void) {
    int pipes[2];
    assert(pipe(pipes) == 0);
    begin();
    struct pollfd never = {pipes[0], POLLIN, 0};
    struct timeval limit = {0, 1000};
    assert(poll(&never, 1, 1) == 0);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pipes[0], &set);
    assert(select(pipes[0] + 1, &set, NULL, NULL, &limit) == 0 && !FD_ISSET(pipes[0], &set));
    puts("ok");
}

int main(int count, char **arguments) {
    assert(count == 3);
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    where.sin_port = htons(atoi(arguments[2]));
    const struct { const char *name; void (*way)(void); } ways[] = {
        {"ppoll", way_ppoll}, {"pselect", way_pselect}, {"epoll_pointer", way_epoll_pointer}, {"dup2", way_dup2},
        {"reused_number", way_reused_number}, {"vfork", way_vfork}, {"made_blocking", way_made_blocking},
        {"errno", way_errno}, {"cancel", way_cancel}, {"threads", way_threads}, {"time_is_over", way_time_is_over},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strcmp(ways[i].name, arguments[1]) == 0) {
            ways[i].way();
            return 0;
        }
    return 2;
}
