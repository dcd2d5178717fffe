/* The load of `tests.bench.fanout`: all subscribers and the publisher in one epoll loop, for any of the servers.
 *
 *   loadgen name=value...     then commands, a line each, on standard input; each is answered by a line of JSON
 *
 *   pids P,P...               the server's processes, whose CPU time is taken at both ends of a measured window
 *   connect COUNT STALLED     open that many more subscribers, the last STALLED of which never read again
 *   hangup                    close those that never read
 *   sat W SECONDS SIZE        publish whenever fewer than W publications are outstanding on the average subscriber
 *   paced RATE SECONDS SIZE   publish RATE times a second, whatever comes back
 *   listen SECONDS            publish nothing, and count what comes
 *   ping PAUSE_US SECONDS     `ping` commands of Rivulet on the first connection, one at a time
 *
 * A delivery is one publication on one subscriber, however many came in one read. Latency runs from the stamp that
 * the publisher puts into the publication to the read that held all of it. The mask of client frames is 0, and the
 * handshake's Sec-WebSocket-Accept is not checked: neither costs a server anything.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
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

enum kind { TEXT, RIVULET, ARROW, NATS, MQTT, SOCKETIO };
enum door { NONE, LINE, DOOR_NATS, DOOR_MQTT, DOOR_WS, DOOR_LINK };
enum state { CONNECTING, HANDSHAKE, SUBSCRIBING, READY, CLOSED };

struct buffer { uint8_t *at; size_t len, cap; };
struct conn {
    int fd;
    enum state state;
    int stalled, deflate, writes, replies; /* writes: EPOLLOUT is asked for; replies: frames before it is ready */
    struct buffer in, app, out;   /* an unfinished frame; an unfinished NATS message; what the door has to write yet */
    uint64_t started;
};

static const char *host = "127.0.0.1", *path = "/", *subprotocol = "", *door_unix = "", *door_path = "/";
static const char *secret = "", *job = "";
static char *subscribe_text = NULL, *hello = NULL;
static int port, door_port, offer_deflate, blind, in_flight = 64, epoll, polling_stdin;
static int64_t first_offset = 100000;
static enum kind kind = TEXT;
static enum door door_kind = NONE;

static struct conn **conns, door;
static int n_conns, n_ready, n_active, n_closed, n_deflate, close_code;
static int64_t expected, delivered, lost, gaps, published, bytes_in;
static int measuring;
static uint64_t last_delivery, pong_at;

static int pids[64], n_pids;
static struct { int size; uint8_t *at; size_t len; } bodies[8];
static int n_bodies;

/* ---- small things ---- */

static void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t clock_ns(clockid_t which) {
    struct timespec at;
    clock_gettime(which, &at);
    return (uint64_t)at.tv_sec * 1000000000u + at.tv_nsec;
}
static uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
static uint64_t wall_ns(void) { return clock_ns(CLOCK_REALTIME); }

static void append(struct buffer *b, const void *data, size_t len) {
    if (b->len + len > b->cap) {
        b->cap = (b->len + len) * 2;
        b->at = realloc(b->at, b->cap);
    }
    memcpy(b->at + b->len, data, len);
    b->len += len;
}

static void release(struct buffer *b) {
    free(b->at);
    memset(b, 0, sizeof *b);
}

static uint8_t *slurp(const char *file, size_t *len) {
    FILE *f = fopen(file, "rb");
    struct buffer b = {0};
    char chunk[65536];
    size_t n;
    if (!f) die("%s: %s", file, strerror(errno));
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) append(&b, chunk, n);
    fclose(f);
    *len = b.len;
    append(&b, "", 1);
    return b.at;
}

/* ---- latencies: a histogram with 32 steps to each power of two, so within 1.6 % ---- */

static uint32_t histogram[64 * 64];
static uint64_t samples, longest;

static void record(uint64_t ns) {
    int power = ns < 64 ? 0 : 63 - __builtin_clzll(ns) - 5;
    histogram[power ? power * 32 + (ns >> power) : ns]++;
    samples++;
    if (ns > longest) longest = ns;
}

static double quantile_ms(double q) {
    uint64_t seen = 0, wanted = (uint64_t)(samples * q);
    for (size_t i = 0; i < sizeof histogram / sizeof *histogram; i++) {
        seen += histogram[i];
        if (seen > wanted) return (i < 64 ? (double)i : (double)((32 + i % 32 + 0.5) * (1ull << (i / 32 - 1)))) / 1e6;
    }
    return 0;
}

static void forget_latencies(void) {
    memset(histogram, 0, sizeof histogram);
    samples = longest = 0;
}

/* ---- stamps ---- */

static int64_t number_after(const uint8_t *p, size_t n, const char *name) {
    const uint8_t *at = memmem(p, n, name, strlen(name));
    return at ? strtoll((const char *)at + strlen(name), NULL, 10) : -1;
}

/* RFC 3339 in UTC to nanoseconds since 1970; the same text again costs a comparison. */
static uint64_t instant(const char *text) {
    static char known[24];
    static uint64_t is;
    if (memcmp(known, text, sizeof known) == 0) return is;
    struct tm t = {0};
    char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &t);
    if (!rest) return 0;
    uint64_t fraction = 0, unit = 1000000000;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9'; rest++) {
            fraction = fraction * 10 + (*rest - '0');
            unit /= 10;
        }
    memcpy(known, text, sizeof known);
    return is = (uint64_t)timegm(&t) * 1000000000u + fraction * unit;
}

static uint64_t stamp_of(const uint8_t *p, size_t n) {
    if (blind || offer_deflate) return 0; /* what is compressed is not looked into: nor is what it is compared with */
    if (kind == RIVULET || kind == ARROW) {
        static const char name[] = "\"published_at\":\"";
        const uint8_t *at = memmem(p, n < 400 ? n : 400, name, sizeof name - 1);
        return at ? instant((const char *)at + sizeof name - 1) : 0;
    }
    int64_t t = number_after(p, n < 120 ? n : 120, "\"t\":");
    return t < 0 ? 0 : (uint64_t)t;
}

static void deliver(uint64_t stamp, int count, uint64_t read_at) {
    delivered += count;
    if (measuring && stamp) record(read_at > stamp ? read_at - stamp : 0);
}

/* ---- writing ---- */

static void watch(struct conn *c, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll, operation, c->fd, &event);
}

static void flush(struct conn *c) {
    size_t done = 0;
    while (done < c->out.len) {
        ssize_t n = send(c->fd, c->out.at + done, c->out.len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) die("%s: %s", c == &door ? "side door" : "subscriber", strerror(errno));
        done += n;
    }
    memmove(c->out.at, c->out.at + done, c->out.len - done);
    c->out.len -= done;
    if ((c->out.len > 0) != c->writes) {
        c->writes = !c->writes;
        watch(c, EPOLLIN | (c->writes ? EPOLLOUT : 0), EPOLL_CTL_MOD);
    }
}

static void send_bytes(struct conn *c, const void *data, size_t len) {
    append(&c->out, data, len);
    flush(c);
    if (!c->out.len && c != &door) release(&c->out);
}

static void send_frame(struct conn *c, int opcode, const void *data, size_t len) {
    uint8_t head[14] = {0x80 | opcode};
    size_t n = 2;
    if (len < 126) head[1] = 0x80 | len;
    else if (len < 65536) {
        head[1] = 0x80 | 126, head[2] = len >> 8, head[3] = len, n = 4;
    } else {
        head[1] = 0x80 | 127, n = 10;
        for (int i = 0; i < 8; i++) head[2 + i] = (uint64_t)len >> (56 - 8 * i);
    }
    n += 4; /* the mask */
    append(&c->out, head, n);
    send_bytes(c, data, len);
}

static void say(struct conn *c, const char *text) { send_frame(c, 1, text, strlen(text)); }

/* ---- subscribers ---- */

static void subscribe(struct conn *c) {
    static const char nats[] = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":false,\"lang\":\"c\","
                               "\"version\":\"0\",\"protocol\":1}\r\nSUB bench 1\r\nPING\r\n";
    static const char mqtt_subscribe[] = "\x82\x0a\0\1\0\5bench\0";
    c->state = SUBSCRIBING;
    if (kind == RIVULET || kind == ARROW) say(c, subscribe_text);
    else if (kind == NATS) send_frame(c, 2, nats, sizeof nats - 1);
    else if (kind == MQTT) {
        char client[32], packet[64];
        int n = snprintf(client, sizeof client, "s%d", c->fd);
        memcpy(packet, "\x10_\0\4MQTT\4\2\0\0\0_", 14);
        packet[1] = 12 + n, packet[13] = n;
        memcpy(packet + 14, client, n);
        send_frame(c, 2, packet, 14 + n);
        send_frame(c, 2, mqtt_subscribe, sizeof mqtt_subscribe - 1);
    }
}

static void ready(struct conn *c) {
    c->state = READY;
    n_ready++;
    record(now_ns() - c->started);
    if (c->stalled) watch(c, 0, EPOLL_CTL_DEL);
    else n_active++;
}

static void lose(struct conn *c) {
    if (c->state == READY) n_active--;
    c->state = CLOSED;
    n_closed++;
    close(c->fd);
}

static size_t nats_messages(struct conn *c, const uint8_t *p, size_t n, uint64_t read_at) {
    size_t done = 0;
    while (done < n) {
        const uint8_t *line = p + done, *end = memmem(line, n - done, "\r\n", 2);
        if (!end) break;
        size_t next = end + 2 - p;
        if (memcmp(line, "MSG ", 4) == 0) {
            const uint8_t *size = end;
            while (size[-1] != ' ') size--;
            size_t len = strtoul((const char *)size, NULL, 10);
            if (n - next < len + 2) break;
            deliver(stamp_of(p + next, len), 1, read_at);
            next += len + 2;
        } else if (memcmp(line, "PING", 4) == 0) send_frame(c, 2, "PONG\r\n", 6);
        else if (memcmp(line, "PONG", 4) == 0 && c->state == SUBSCRIBING) ready(c);
        else if (memcmp(line, "-ERR", 4) == 0) die("nats: %.*s", (int)(end - line), line);
        done = next;
    }
    return done;
}

static void mqtt_packets(struct conn *c, const uint8_t *p, size_t n, uint64_t read_at) {
    while (n >= 2) {
        size_t len = 0, i = 1;
        for (int shift = 0;; shift += 7) {
            len |= (size_t)(p[i] & 0x7f) << shift;
            if (!(p[i++] & 0x80)) break;
        }
        if (p[0] >> 4 == 3) deliver(stamp_of(p + i, len), 1, read_at);
        else if (p[0] == 0x90 && c->state == SUBSCRIBING) ready(c);
        p += i + len;
        n -= i + len;
    }
}

static void rivulet_message(struct conn *c, int opcode, const uint8_t *p, size_t n, uint64_t read_at) {
    static const char publication[] = "{\"type\":\"publication\"", gap[] = "{\"type\":\"gap\"";
    if (opcode == 2) p += 4, n -= 4; /* the length of the head, which is then as in JSON */
    if (n >= sizeof publication && memcmp(p, publication, sizeof publication - 1) == 0) {
        int64_t from = number_after(p, n < 100 ? n : 100, "\"from\":");
        int count = from < 0 ? 1 : (int)(number_after(p, n < 160 ? n : 160, "\"offset\":") - from + 1);
        deliver(stamp_of(p, n), count, read_at);
    } else if (n >= sizeof gap && memcmp(p, gap, sizeof gap - 1) == 0) {
        int64_t holes = number_after(p, n, "\"to\":") - number_after(p, n, "\"from\":") + 1;
        if (c->state == READY && holes > 0) lost += holes, gaps++;
    } else if (memmem(p, n, "{\"type\":\"pong\"", 14)) pong_at = read_at;
    else if (memmem(p, n, "\"type\":\"subscribed\"", 19) && c->state == SUBSCRIBING) ready(c);
    else if (memmem(p, n, "\"type\":\"error\"", 14)) die("rivulet: %.*s", (int)n, p);
}

static void message(struct conn *c, int opcode, int compressed, uint8_t *p, size_t n, uint64_t read_at) {
    if (c == &door) {
        if (door_kind == DOOR_LINK && memmem(p, n, "\"link_welcome\"", 14)) c->state = READY;
        return;
    }
    bytes_in += n;
    if (c->state == SUBSCRIBING) c->replies++;
    if (compressed) { /* what it is cannot be seen: `welcome`, `subscribed`, and then publications */
        if (c->state == READY) deliver(0, 1, read_at);
        else if (c->replies == 2) ready(c);
    } else if (kind == RIVULET || kind == ARROW) rivulet_message(c, opcode, p, n, read_at);
    else if (kind == MQTT) mqtt_packets(c, p, n, read_at);
    else if (kind == NATS && c->app.len) {
        append(&c->app, p, n);
        size_t done = nats_messages(c, c->app.at, c->app.len, read_at);
        memmove(c->app.at, c->app.at + done, c->app.len - done);
        c->app.len -= done;
    } else if (kind == NATS) {
        size_t done = nats_messages(c, p, n, read_at);
        if (done < n) append(&c->app, p + done, n - done);
    } else if (kind == SOCKETIO) {
        if (p[0] == '0') say(c, "40");
        else if (p[0] == '2') say(c, "3");
        else if (p[0] == '4' && p[1] == '0' && c->state == SUBSCRIBING) ready(c);
        else if (p[0] == '4' && p[1] == '2') deliver(stamp_of(p, n), 1, read_at);
    } else deliver(stamp_of(p, n), 1, read_at);
}

/* Take all whole frames; returns how many bytes they were. */
static size_t frames(struct conn *c, uint8_t *p, size_t n, uint64_t read_at) {
    size_t done = 0;
    while (n - done >= 2 && c->state != CLOSED) {
        uint8_t *f = p + done;
        size_t len = f[1] & 0x7f, head = 2;
        if (len == 126) head = 4;
        else if (len == 127) head = 10;
        if (n - done < head) break;
        if (head > 2) {
            len = 0;
            for (size_t i = 2; i < head; i++) len = len << 8 | f[i];
        }
        if (n - done < head + len) break;
        int opcode = f[0] & 15;
        if (opcode == 8) {
            if (len >= 2) close_code = f[head] << 8 | f[head + 1];
            if (c == &door) die("the server closed the side door: %d %.*s", close_code, (int)len - 2, f + head + 2);
            lose(c);
            break;
        }
        if (opcode == 9) send_frame(c, 10, f + head, len);
        else if (opcode == 1 || opcode == 2) message(c, opcode, f[0] & 0x40, f + head, len, read_at);
        done += head + len;
    }
    return done;
}

static void handshake(struct conn *c, const char *target, const char *protocol, const char *more) {
    char request[1024];
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s%s%s%s\r\n",
                     target, host, port, *protocol ? "Sec-WebSocket-Protocol: " : "", protocol,
                     *protocol ? "\r\n" : "", more);
    c->state = HANDSHAKE;
    send_bytes(c, request, n);
}

/* The answer to the handshake; returns its length, or 0 where not all of it is there. */
static size_t answered(struct conn *c, const uint8_t *p, size_t n) {
    const uint8_t *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) return 0;
    if (n < 12 || memcmp(p + 9, "101", 3) != 0) die("handshake refused: %.*s", (int)n, p);
    c->deflate = memmem(p, end - p, "permessage-deflate", 18) != NULL;
    n_deflate += c->deflate;
    if (c == &door) {
        c->state = door_kind == DOOR_LINK ? SUBSCRIBING : READY;
        if (door_kind == DOOR_LINK) say(c, hello);
    } else if (kind == TEXT) ready(c);
    else subscribe(c);
    return end + 4 - p;
}

static uint8_t *scratch;
static size_t scratch_size = 1 << 20;

static void readable(struct conn *c) {
    size_t have = c->in.len;
    if (have * 2 > scratch_size) scratch = realloc(scratch, (scratch_size *= 2) + 1);
    memcpy(scratch, c->in.at, have);
    ssize_t got = recv(c->fd, scratch + have, scratch_size - have, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        if (c == &door || c->state != READY) die("the server closed %s", c == &door ? "the side door" : "a handshake");
        lose(c);
        return;
    }
    uint64_t read_at = wall_ns();
    size_t n = have + got, done = 0;
    scratch[n] = 0; /* numbers are read up to what is none */
    if (c == &door && door_kind != DOOR_WS && door_kind != DOOR_LINK) {
        if (door_kind == DOOR_NATS && memmem(scratch, n, "PING\r\n", 6)) send_bytes(c, "PONG\r\n", 6);
        return;
    }
    if (c->state == HANDSHAKE) done = answered(c, scratch, n);
    if (c->state != HANDSHAKE) done += frames(c, scratch + done, n - done, read_at);
    c->in.len = 0;
    if (done < n && c->state != CLOSED) append(&c->in, scratch + done, n - done);
    else if (c->in.cap) release(&c->in); /* idle subscribers keep no buffer */
}

static int dial(struct conn *c, int to, const char *unix_path) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(to)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct linger abort = {1, 0}; /* thousands of sockets are closed at once, and their ports are wanted again */
    int one = 1, small = 4096, segment = 536;
    inet_pton(AF_INET, host, &in.sin_addr);
    strncpy(un.sun_path, unix_path, sizeof un.sun_path - 1);
    c->fd = socket(*unix_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->stalled) { /* so that the kernel takes 50 kB for it, and not 4 MB */
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    }
    c->started = now_ns();
    if (*unix_path ? connect(c->fd, (struct sockaddr *)&un, sizeof un) : connect(c->fd, (struct sockaddr *)&in, sizeof in))
        die("connect to %s:%d%s: %s", host, to, unix_path, strerror(errno));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(c, EPOLLIN, EPOLL_CTL_ADD);
    return c->fd;
}

static void open_subscriber(int stalled) {
    struct conn *c = calloc(1, sizeof *c);
    conns = realloc(conns, (n_conns + 1) * sizeof *conns);
    conns[n_conns++] = c;
    c->stalled = stalled;
    dial(c, port, "");
    handshake(c, path, subprotocol,
              offer_deflate ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" : "");
}

/* ---- the publisher ---- */

static void open_door(void) {
    static const char nats_connect[] = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"version\":\"0\"}\r\n";
    char more[512];
    if (door_kind == NONE) return;
    dial(&door, door_port, door_unix);
    door.state = READY;
    if (door_kind == DOOR_WS) handshake(&door, door_path, "", "");
    if (door_kind == DOOR_LINK) {
        snprintf(more, sizeof more, "Authorization: Bearer %s\r\n", secret);
        handshake(&door, door_path, "rivulet.link.v1", more);
    }
    if (door_kind == DOOR_NATS) send_bytes(&door, nats_connect, sizeof nats_connect - 1);
    if (door_kind == DOOR_MQTT) send_bytes(&door, "\x10\x0f\0\4MQTT\4\2\0\0\0\3pub", 17);
}

static char *payload(int size, uint64_t stamp) {
    static char text[1 << 16];
    static int made;
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";
    if (made != size) {
        unsigned seed = 1;
        int n = sprintf(text, "{\"t\":%019llu,\"q\":0000000000,\"d\":\"", 0ull);
        for (; n < size - 2; n++) text[n] = letters[(seed = seed * 1103515245u + 12345u) >> 16 & 63];
        strcpy(text + n, "\"}");
        made = size;
    }
    char digits[32];
    snprintf(digits, sizeof digits, "%019llu", (unsigned long long)stamp);
    digits[0] = digits[0] == '0' ? '1' : digits[0]; /* JSON has no leading zero */
    memcpy(text + 5, digits, 19);
    snprintf(digits, sizeof digits, "%010u", (unsigned)(1000000000 + published % 1000000000));
    memcpy(text + 29, digits, 10);
    return text;
}

static void publish_on_link(int size, uint64_t stamp) {
    static struct buffer frame;
    char head[512], at[32];
    time_t seconds = stamp / 1000000000u;
    struct tm t;
    int i = 0;
    while (i < n_bodies && bodies[i].size != size) i++;
    if (i == n_bodies) die("there is no body for %d bytes", size);
    strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &t));
    long long number = first_offset + 1 + published;
    uint32_t n = snprintf(head, sizeof head,
                          "{\"job\":\"%s\",\"output\":\"rows\",\"epoch\":\"e1\",\"offset\":%lld,\"revision\":1,"
                          "\"batch\":%lld,\"published_at\":\"%s.%06dZ\"}",
                          job, number, number, at, (int)(stamp / 1000 % 1000000));
    uint32_t length = htonl(n);
    frame.len = 0;
    append(&frame, &length, 4);
    append(&frame, head, n);
    append(&frame, bodies[i].at, bodies[i].len);
    send_frame(&door, 2, frame.at, frame.len);
}

static void publish(int size) {
    uint64_t stamp = wall_ns();
    char head[64];
    if (door_kind == DOOR_LINK) publish_on_link(size, stamp);
    else if (door_kind == DOOR_WS) send_frame(&door, 1, payload(size, stamp), size);
    else {
        int n = 0;
        if (door_kind == DOOR_NATS) n = sprintf(head, "PUB bench %d\r\n", size);
        if (door_kind == DOOR_MQTT) {
            int left = size + 7;
            head[n++] = 0x30;
            do head[n++] = (left & 0x7f) | (left > 0x7f ? 0x80 : 0);
            while (left >>= 7);
            memcpy(head + n, "\0\5bench", 7);
            n += 7;
        }
        append(&door.out, head, n);
        append(&door.out, payload(size, stamp), size);
        send_bytes(&door, door_kind == DOOR_NATS ? "\r\n" : "\n", door_kind == DOOR_NATS ? 2 : door_kind == LINE ? 1 : 0);
    }
    published++;
    expected += n_active;
}

/* ---- the loop ---- */

static struct { enum { QUIET, SATURATE, PACE } mode; int size; double outstanding; uint64_t every, next, latest; } plan;

static void keep_publishing(void) {
    uint64_t now = now_ns();
    if (delivered + lost > expected && plan.mode != QUIET) lost = expected - delivered; /* it was only late */
    if (plan.mode == SATURATE) {
        if (now - last_delivery > 2000000000u && expected > delivered + lost) {
            lost = expected - delivered; /* dropped by the server: go on */
            last_delivery = now;
        }
        while (expected - delivered - lost < plan.outstanding * n_active) publish(plan.size);
    } else if (plan.mode == PACE)
        for (; plan.next <= now; plan.next += plan.every) {
            if (now - plan.next > plan.latest) plan.latest = now - plan.next;
            publish(plan.size);
        }
}

/* Serve the sockets for a while, or until `flag` is set or standard input has something to say. */
static void serve(uint64_t until) {
    struct epoll_event events[256];
    uint64_t now;
    while ((now = now_ns()) < until) {
        keep_publishing();
        uint64_t wake = plan.mode == PACE && plan.next < until ? plan.next : until;
        now = now_ns();
        struct timespec wait = {0};
        if (wake > now) wait.tv_sec = (wake - now) / 1000000000u, wait.tv_nsec = (wake - now) % 1000000000u;
        int n = epoll_pwait2(epoll, events, 256, &wait, NULL);
        int64_t before = delivered;
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c == NULL) { /* standard input */
                if (polling_stdin) return;
                continue;
            }
            if (events[i].events & EPOLLOUT) flush(c);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && c->state != CLOSED) readable(c);
            if (i % 32 == 31) keep_publishing();
        }
        if (delivered != before) last_delivery = now;
    }
}

static void serve_ms(int ms) { serve(now_ns() + ms * 1000000ull); }

static void cpu_of_server(double *user, double *system) {
    *user = *system = 0;
    for (int i = 0; i < n_pids; i++) {
        char name[64], text[2048];
        snprintf(name, sizeof name, "/proc/%d/stat", pids[i]);
        FILE *f = fopen(name, "r");
        size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
        unsigned long u = 0, s = 0;
        text[n] = 0;
        char *after = strrchr(text, ')');
        if (!after || sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &s) != 2)
            die("process %d of the server is gone", pids[i]);
        fclose(f);
        *user += (double)u / sysconf(_SC_CLK_TCK);
        *system += (double)s / sysconf(_SC_CLK_TCK);
    }
}

static void run(double seconds) {
    double u0, s0, u1, s1;
    plan.next = last_delivery = now_ns();
    plan.latest = 0;
    serve_ms(500); /* warm up */
    forget_latencies();
    int64_t had = delivered, had_lost = lost, had_gaps = gaps, had_published = published, had_bytes = bytes_in;
    int closed = n_closed;
    uint64_t own = clock_ns(CLOCK_PROCESS_CPUTIME_ID), begun = now_ns();
    cpu_of_server(&u0, &s0);
    measuring = 1;
    serve(begun + (uint64_t)(seconds * 1e9));
    measuring = 0;
    cpu_of_server(&u1, &s1);
    int64_t got = delivered - had, told = published - had_published;
    double took = (now_ns() - begun) / 1e9, busy = (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own) / 1e9;
    int64_t wire = bytes_in - had_bytes;
    int listening = plan.mode == QUIET;
    plan.mode = QUIET;
    if (!listening) { /* what is under way still comes, or nothing any more for 5 s */
        last_delivery = now_ns();
        while (expected > delivered + lost && now_ns() - last_delivery < 5000000000u) serve_ms(20);
        lost = expected - delivered;
    }
    double per = got ? 1e6 / got : 0;
    printf("{\"deliveries\":%lld,\"published\":%lld,\"seconds\":%.3f,\"cpu_us\":%.3f,\"user_us\":%.3f,\"cores\":%.3f,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"samples\":%llu,\"lost\":%lld,\"gaps\":%lld,\"closed\":%d,"
           "\"close_code\":%d,\"bytes\":%.1f,\"generator_cores\":%.3f,\"late_ms\":%.3f}\n",
           (long long)got, (long long)told, took, (u1 + s1 - u0 - s0) * per, (u1 - u0) * per, (u1 + s1 - u0 - s0) / took,
           quantile_ms(0.5), quantile_ms(0.99), longest / 1e6, (unsigned long long)samples, (long long)(lost - had_lost),
           (long long)(gaps - had_gaps), n_closed - closed, close_code, got ? (double)wire / got : 0, busy / took,
           plan.latest / 1e6);
}

static void connect_all(int count, int stalled) {
    double u0, s0, u1, s1;
    int wanted = n_ready + count, first = n_conns, deflated = n_deflate;
    uint64_t until = now_ns() + 120000000000ull;
    forget_latencies();
    cpu_of_server(&u0, &s0);
    while (n_ready < wanted && now_ns() < until) {
        while (n_conns - first < count && n_conns - n_ready - n_closed < in_flight)
            open_subscriber(n_conns - first >= count - stalled);
        serve_ms(1);
    }
    if (n_ready < wanted) die("%d of %d subscribers are there after 120 s", n_ready, wanted);
    cpu_of_server(&u1, &s1);
    printf("{\"connected\":%d,\"deflate\":%d,\"cpu_us\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n", count,
           n_deflate - deflated, (u1 + s1 - u0 - s0) * 1e6 / count, quantile_ms(0.5), quantile_ms(0.99));
}

static void hang_up(void) {
    int count = 0;
    for (int i = 0; i < n_conns; i++)
        if (conns[i]->stalled && conns[i]->state == READY) {
            conns[i]->state = CLOSED;
            close(conns[i]->fd);
            count++;
        }
    printf("{\"closed\":%d}\n", count);
}

static void ping(int pause_us, double seconds) {
    uint64_t until = now_ns() + (uint64_t)(seconds * 1e9);
    int number = 0;
    forget_latencies();
    while (now_ns() < until && n_active > 0) {
        char text[64];
        uint64_t sent = wall_ns();
        snprintf(text, sizeof text, "{\"type\":\"ping\",\"id\":%d}", ++number);
        pong_at = 0;
        say(conns[0], text);
        for (uint64_t give_up = now_ns() + 10000000000ull; !pong_at && now_ns() < give_up;) serve(now_ns() + 100000);
        if (!pong_at) die("no pong within 10 s");
        record(pong_at - sent);
        serve(now_ns() + pause_us * 1000ull);
    }
    printf("{\"pings\":%d,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n", number, quantile_ms(0.5),
           quantile_ms(0.99), longest / 1e6);
}

static void command(char *line) {
    double a, b;
    int size = 0;
    if (strncmp(line, "pids ", 5) == 0) {
        n_pids = 0;
        for (char *word = strtok(line + 5, ","); word && n_pids < 64; word = strtok(NULL, ",")) pids[n_pids++] = atoi(word);
        printf("{\"pids\":%d}\n", n_pids);
    } else if (sscanf(line, "connect %lf %lf", &a, &b) == 2) connect_all((int)a, (int)b);
    else if (sscanf(line, "sat %lf %lf %d", &a, &b, &size) == 3) {
        plan.mode = SATURATE, plan.outstanding = a, plan.size = size;
        run(b);
    } else if (sscanf(line, "paced %lf %lf %d", &a, &b, &size) == 3) {
        plan.mode = PACE, plan.every = (uint64_t)(1e9 / a), plan.size = size;
        run(b);
    } else if (sscanf(line, "listen %lf", &b) == 1) run(b);
    else if (sscanf(line, "ping %lf %lf", &a, &b) == 2) ping((int)a, b);
    else if (strcmp(line, "hangup") == 0) hang_up();
    else die("not a command: %s", line);
    fflush(stdout);
}

static int choice(const char *value, const char *const *names, const char *what) {
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], value) == 0) return i;
    die("%s: there is no %s", what, value);
    return 0;
}

static void option(char *word) {
    static const char *const kinds[] = {"text", "rivulet", "arrow", "nats", "mqtt", "socketio", NULL};
    static const char *const doors[] = {"none", "line", "nats", "mqtt", "ws", "link", NULL};
    char *value = strchr(word, '=');
    size_t len;
    if (!value) die("%s is not of the form name=value", word);
    *value++ = 0;
    if (!strcmp(word, "host")) host = value;
    else if (!strcmp(word, "port")) port = atoi(value);
    else if (!strcmp(word, "path")) path = value;
    else if (!strcmp(word, "subprotocol")) subprotocol = value;
    else if (!strcmp(word, "kind")) kind = choice(value, kinds, word);
    else if (!strcmp(word, "deflate")) offer_deflate = atoi(value);
    else if (!strcmp(word, "blind")) blind = atoi(value);
    else if (!strcmp(word, "subscribe")) subscribe_text = value;
    else if (!strcmp(word, "door")) door_kind = choice(value, doors, word);
    else if (!strcmp(word, "door_port")) door_port = atoi(value);
    else if (!strcmp(word, "door_unix")) door_unix = value;
    else if (!strcmp(word, "door_path")) door_path = value;
    else if (!strcmp(word, "secret")) secret = value;
    else if (!strcmp(word, "job")) job = value;
    else if (!strcmp(word, "hello")) hello = (char *)slurp(value, &len);
    else if (!strcmp(word, "cpu")) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(atoi(value), &set);
        sched_setaffinity(0, sizeof set, &set);
    } else if (!strcmp(word, "body")) { /* size:file */
        char *file = strchr(value, ':');
        if (!file || n_bodies == 8) die("body=SIZE:FILE, at most 8");
        bodies[n_bodies].size = atoi(value);
        bodies[n_bodies].at = slurp(file + 1, &bodies[n_bodies].len);
        n_bodies++;
    } else die("there is no option %s", word);
}

int main(int argc, char **argv) {
    struct rlimit files;
    struct epoll_event event = {.events = EPOLLIN};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 1; i < argc; i++) option(argv[i]);
    scratch = malloc(scratch_size + 1);
    epoll = epoll_create1(0);
    open_door();
    for (int i = 0; i < 200 && door_kind != NONE && door.state != READY; i++) serve_ms(50);
    if (door_kind != NONE && door.state != READY) die("the side door does not open");
    printf("{\"ready\":true}\n");
    fflush(stdout);
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    char line[4096];
    size_t have = 0;
    for (;;) {
        char *end = memchr(line, '\n', have);
        if (end) {
            *end = 0;
            epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
            command(line);
            epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
            have -= end + 1 - line;
            memmove(line, end + 1, have);
            continue;
        }
        polling_stdin = 1;
        serve_ms(10000);
        polling_stdin = 0;
        int flags = fcntl(STDIN_FILENO, F_GETFL);
        fcntl(STDIN_FILENO, F_SETFL, flags | O_NONBLOCK);
        ssize_t n = read(STDIN_FILENO, line + have, sizeof line - have);
        fcntl(STDIN_FILENO, F_SETFL, flags);
        if (n == 0) return 0;
        if (n > 0) have += n;
    }
}
