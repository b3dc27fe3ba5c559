/* sink.c - the next hop of the comparison: takes every message, keeps none.
 *
 * Like smtp-sink, plus what the comparison needs: a reply delay in milliseconds (each
 * reply leaves DELAY ms after the command came, the banner 2 x DELAY ms after
 * the connection: what a round trip of DELAY ms costs a client), and counters
 * in a shared file that cells.py reads while the run goes on.
 *
 * usage: sink -p PORT [-d DELAY_MS] [-s STATS_FILE] [-n] [-r REPLY]
 *   -n        do not offer PIPELINING
 *   -r REPLY  answer MAIL with this instead of 250 (e.g. "451 4.3.0 later")
 * Build: cc -O2 -o sink sink.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct stats { /* all uint64_t, read by load.py */
    volatile uint64_t messages, unique, bytes, first_ns, last_ns, conns, cur, max, quits;
};
static struct stats local, *st = &local;
static uint64_t delay_ns;
static int pipelining = 1;
static const char *mail_reply = "250 2.1.0 Ok\r\n";

enum { CMD, DATA };
struct conn {
    int fd, state, closing, hdr, got_id, skip_line;
    uint32_t gen, in_len, out_len;
    uint64_t idhash;
    char in[8192], out[2048];
};
struct due { uint64_t at; int fd; uint32_t gen; int len, closing; char text[512]; };
struct fifo { struct due *v; size_t head, n, cap; };
static struct fifo q_reply, q_banner;
static struct conn *conns[65536];
static uint32_t gens[65536];
static int ep;

static uint64_t now(void) {
    struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static uint64_t *set; static size_t set_cap, set_n;
static int set_add(uint64_t h) {
    if (!h) h = 1;
    if (set_n * 2 >= set_cap) {
        size_t oc = set_cap; uint64_t *o = set;
        set_cap = oc ? oc * 2 : 1 << 16; set = calloc(set_cap, 8); set_n = 0;
        for (size_t i = 0; i < oc; i++) if (o[i]) set_add(o[i]);
        free(o);
    }
    size_t i = (h * 0x9E3779B97F4A7C15u) & (set_cap - 1);
    while (set[i]) { if (set[i] == h) return 0; i = (i + 1) & (set_cap - 1); }
    set[i] = h; set_n++; return 1;
}

static struct due *fifo_push(struct fifo *f) {
    if (f->n == f->cap) {
        size_t nc = f->cap ? f->cap * 2 : 1024; struct due *v = malloc(nc * sizeof *v);
        for (size_t i = 0; i < f->n; i++) v[i] = f->v[(f->head + i) % f->cap];
        free(f->v); f->v = v; f->cap = nc; f->head = 0;
    }
    return &f->v[(f->head + f->n++) % f->cap];
}

static void drop(struct conn *c) {
    conns[c->fd] = 0; gens[c->fd]++; close(c->fd); free(c); st->cur--;
}
static void put(struct conn *c, const char *s) {
    size_t n = strlen(s);
    if (c->out_len + n <= sizeof c->out) { memcpy(c->out + c->out_len, s, n); c->out_len += n; }
}
static int send_all(int fd, const char *p, size_t n) {
    while (n) { ssize_t k = send(fd, p, n, MSG_NOSIGNAL); if (k <= 0) return -1; p += k; n -= k; }
    return 0;
}
/* hands the collected replies out, now or after the delay; 0 when the connection is gone */
static int flush_out(struct conn *c, struct fifo *f, uint64_t after) {
    if (!after) {
        int bad = c->out_len && send_all(c->fd, c->out, c->out_len);
        c->out_len = 0;
        if (bad || c->closing) { drop(c); return 0; }
        return 1;
    }
    uint32_t off = 0;
    while (off < c->out_len || (c->closing && !c->out_len)) {
        struct due *d = fifo_push(f); uint32_t n = c->out_len - off; if (n > sizeof d->text) n = sizeof d->text;
        d->at = now() + after; d->fd = c->fd; d->gen = c->gen; d->len = n;
        memcpy(d->text, c->out + off, n); off += n; d->closing = c->closing && off >= c->out_len;
        if (!c->out_len) break;
    }
    c->out_len = 0; return 1;
}

static void end_of_message(struct conn *c) {
    uint64_t t = now(); if (!st->first_ns) st->first_ns = t;
    st->last_ns = t; st->messages++;
    if (c->got_id) st->unique += set_add(c->idhash);
    c->state = CMD; put(c, "250 2.0.0 Ok\r\n");
}
static void line(struct conn *c, char *p, size_t n) { /* n counts the LF */
    if (c->state == DATA) {
        st->bytes += n;
        if (p[0] == '.' && (n == 3 && p[1] == '\r')) { end_of_message(c); return; }
        if (c->hdr) {
            if (n <= 2) c->hdr = 0;
            else if (!c->got_id && n > 12 && !strncasecmp(p, "Message-Id:", 11)) {
                uint64_t h = 0xcbf29ce484222325u;
                for (size_t i = 11; i < n; i++) if ((unsigned char)p[i] > ' ') h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
                c->idhash = h; c->got_id = 1;
            }
        }
        return;
    }
    if (n >= 4 && !strncasecmp(p, "EHLO", 4))
        put(c, pipelining ? "250-sink.invalid\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
                          : "250-sink.invalid\r\n250-SIZE 0\r\n250 8BITMIME\r\n");
    else if (n >= 4 && !strncasecmp(p, "HELO", 4)) put(c, "250 sink.invalid\r\n");
    else if (n >= 4 && !strncasecmp(p, "MAIL", 4)) put(c, mail_reply);
    else if (n >= 4 && !strncasecmp(p, "RCPT", 4)) put(c, "250 2.1.5 Ok\r\n");
    else if (n >= 4 && !strncasecmp(p, "DATA", 4)) {
        c->state = DATA; c->hdr = 1; c->got_id = 0; put(c, "354 go ahead\r\n");
    } else if (n >= 4 && !strncasecmp(p, "QUIT", 4)) { put(c, "221 2.0.0 Bye\r\n"); c->closing = 1; st->quits++; }
    else if (n >= 4 && (!strncasecmp(p, "RSET", 4) || !strncasecmp(p, "NOOP", 4))) put(c, "250 2.0.0 Ok\r\n");
    else put(c, "500 5.5.2 What?\r\n");
}
static void readable(struct conn *c) {
    for (;;) {
        ssize_t k = recv(c->fd, c->in + c->in_len, sizeof c->in - c->in_len, 0);
        if (k == 0 || (k < 0 && errno != EAGAIN && errno != EINTR)) { drop(c); return; }
        if (k < 0) break;
        c->in_len += k; char *p = c->in, *e = c->in + c->in_len, *nl;
        while (!c->closing && (nl = memchr(p, '\n', e - p))) {
            if (c->skip_line) { c->skip_line = 0; st->bytes += nl + 1 - p; }
            else line(c, p, nl + 1 - p);
            p = nl + 1;
        }
        c->in_len = e - p; memmove(c->in, p, c->in_len);
        if (c->in_len == sizeof c->in) { st->bytes += c->in_len; c->in_len = 0; c->skip_line = 1; }
        if (c->out_len > sizeof c->out / 2 && !flush_out(c, &q_reply, delay_ns)) return;
        if (c->closing) break;
    }
    if (c->out_len || c->closing) flush_out(c, &q_reply, delay_ns);
}
static void run_due(struct fifo *f, uint64_t t) {
    while (f->n && f->v[f->head].at <= t) {
        struct due *d = &f->v[f->head]; struct conn *c = conns[d->fd];
        if (c && c->gen == d->gen) {
            if (send_all(d->fd, d->text, d->len) || d->closing) drop(c);
        }
        f->head = (f->head + 1) % f->cap; f->n--;
    }
}
int main(int argc, char **argv) {
    int o, port = 0; const char *sf = 0; static char mr[256];
    while ((o = getopt(argc, argv, "p:d:s:nr:")) > 0) switch (o) {
        case 'p': port = atoi(optarg); break;
        case 'd': delay_ns = (uint64_t)(atof(optarg) * 1e6); break;
        case 's': sf = optarg; break;
        case 'n': pipelining = 0; break;
        case 'r': snprintf(mr, sizeof mr, "%s\r\n", optarg); mail_reply = mr; break;
        default: return 2;
    }
    if (!port) { fprintf(stderr, "sink: -p PORT is needed\n"); return 2; }
    struct rlimit rl; getrlimit(RLIMIT_NOFILE, &rl); rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl);
    if (sf) {
        int fd = open(sf, O_RDWR | O_CREAT | O_TRUNC, 0644);
        if (fd < 0 || ftruncate(fd, 4096)) { perror(sf); return 1; }
        st = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (bind(ls, (void *)&a, sizeof a) || listen(ls, 4096)) { perror("sink: bind"); return 1; }
    ep = epoll_create1(0);
    struct epoll_event ev = { .events = EPOLLIN, .data.fd = ls }, evs[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);
    for (;;) {
        int wait = -1; uint64_t t = now();
        if (q_reply.n || q_banner.n) {
            uint64_t at = ~0ull;
            if (q_reply.n) at = q_reply.v[q_reply.head].at;
            if (q_banner.n && q_banner.v[q_banner.head].at < at) at = q_banner.v[q_banner.head].at;
            wait = at <= t ? 0 : (int)((at - t + 999999) / 1000000);
        }
        int n = epoll_wait(ep, evs, 256, wait);
        for (int i = 0; i < n; i++) {
            int fd = evs[i].data.fd;
            if (fd != ls) { if (conns[fd]) readable(conns[fd]); continue; }
            int c;
            while ((c = accept4(ls, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                if (c >= 65536) { close(c); continue; }
                setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                struct conn *k = calloc(1, sizeof *k); k->fd = c; k->gen = gens[c]; conns[c] = k;
                st->conns++; st->cur++; if (st->cur > st->max) st->max = st->cur;
                ev.events = EPOLLIN; ev.data.fd = c; epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
                put(k, "220 sink.invalid ESMTP\r\n"); flush_out(k, &q_banner, delay_ns * 2);
            }
        }
        t = now(); run_due(&q_banner, t); run_due(&q_reply, t);
    }
}
