/* The floor: what the kernel alone costs. A line on the side door becomes a frame once, and one send() per subscriber.
 *
 *   floor PORT DOOR_PORT [tick]      tick: what has come since the last turn of the loop goes out in one send()
 *
 * Not a server for anything else: the handshake is not checked, and its answer is always the same.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum role { SUBSCRIBERS, DOOR, PUBLISHER, SUBSCRIBER };
struct peer {
    enum role role;
    int fd, open, index;
    uint8_t *waiting; /* what the kernel would not take */
    size_t len, cap;
};

#define MOST_WAITING (4u << 20)
static int epoll, tick, n_subscribers;
static struct peer *subscribers[1 << 16];
static uint8_t input[1 << 20], output[1 << 21];

static void watch(struct peer *p, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = p};
    epoll_ctl(epoll, operation, p->fd, &event);
}

static struct peer *add(enum role role, int fd) {
    struct peer *p = calloc(1, sizeof *p);
    p->role = role, p->fd = fd;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    watch(p, EPOLLIN, EPOLL_CTL_ADD);
    return p;
}

static void leave(struct peer *p) {
    if (p->open) {
        subscribers[p->index] = subscribers[--n_subscribers];
        subscribers[p->index]->index = p->index;
    }
    close(p->fd);
    free(p->waiting);
    free(p);
}

static void wait_for_room(struct peer *p, const uint8_t *data, size_t len) {
    if (p->len + len > MOST_WAITING) return; /* a floor that drops: the generator counts it */
    if (p->len + len > p->cap) p->waiting = realloc(p->waiting, p->cap = (p->len + len) * 2);
    memcpy(p->waiting + p->len, data, len);
    if (!p->len) watch(p, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    p->len += len;
}

static void put(struct peer *p, const uint8_t *data, size_t len) {
    ssize_t n = p->len ? 0 : send(p->fd, data, len, MSG_NOSIGNAL);
    if (n < 0) n = 0; /* no room, or gone: the read will tell */
    if ((size_t)n < len) wait_for_room(p, data + n, len - n);
}

static void go_on(struct peer *p) {
    ssize_t n = send(p->fd, p->waiting, p->len, MSG_NOSIGNAL);
    if (n <= 0) return;
    memmove(p->waiting, p->waiting + n, p->len - n);
    p->len -= n;
    if (!p->len) {
        free(p->waiting);
        p->waiting = NULL, p->cap = 0;
        watch(p, EPOLLIN, EPOLL_CTL_MOD);
    }
}

static void to_all(const uint8_t *data, size_t len) {
    for (int i = 0; i < n_subscribers; i++) put(subscribers[i], data, len);
}

static void publish(struct peer *p) {
    static size_t have;
    size_t start = 0, made = 0;
    ssize_t n = read(p->fd, input + have, sizeof input - have);
    if (n <= 0) {
        leave(p);
        return;
    }
    have += n;
    for (uint8_t *end; (end = memchr(input + start, '\n', have - start)); start = end + 1 - input) {
        size_t len = end - input - start;
        uint8_t *frame = output + made;
        size_t head = len < 126 ? 2 : 4;
        frame[0] = 0x81, frame[1] = len < 126 ? len : 126, frame[2] = len >> 8, frame[3] = len;
        memcpy(frame + head, input + start, len);
        if (tick) made += head + len;
        else to_all(frame, head + len);
    }
    if (made) to_all(output, made);
    memmove(input, input + start, have -= start);
}

static void hear(struct peer *p) {
    static const char yes[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    char text[4096];
    ssize_t n = recv(p->fd, text, sizeof text, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) leave(p);
    } else if (!p->open) { /* a request of a few hundred bytes comes whole */
        p->open = 1;
        p->index = n_subscribers;
        subscribers[n_subscribers++] = p;
        put(p, (const uint8_t *)yes, sizeof yes - 1);
    }
}

static int listen_on(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096)) {
        perror("listen");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv) {
    struct epoll_event events[256];
    struct rlimit files;
    if (argc < 3) return 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    tick = argc > 3 && strcmp(argv[3], "tick") == 0;
    epoll = epoll_create1(0);
    add(SUBSCRIBERS, listen_on(atoi(argv[1])));
    add(DOOR, listen_on(atoi(argv[2])));
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1), one = 1, fd;
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (p->role == SUBSCRIBERS || p->role == DOOR) {
                while ((fd = accept(p->fd, NULL, NULL)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    add(p->role == DOOR ? PUBLISHER : SUBSCRIBER, fd);
                }
            } else if (p->role == PUBLISHER) publish(p);
            else {
                if (events[i].events & EPOLLOUT && p->len) go_on(p);
                if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) hear(p);
            }
        }
    }
}
