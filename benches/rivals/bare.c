/* bare.c - a minimal receiver that keeps its word: beside it is seen what the rest of a relay costs. No relay to use, and no bound.
 *
 * It reads what smtp-source says without parsing it, knows no limits, writes no log and checks nothing. What it keeps is what
 * leafmail's 250 means: a file without a name is written, linked into the folder and synced, and the folder is synced, by
 * one for all who wait. Who takes a connection serves it, in a thread of its own, so that nothing is handed over. With -r it also
 * forwards: what was stored is read back, sent in two flights and unlinked, and the folder synced every 5 ms.
 *
 * usage: bare -p PORT -s FOLDER [-t THREADS] [-r SINK_PORT] [-n SENDERS]
 * Build: cc -O2 -o bare bare.c -lpthread
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST (4 << 20)
#define OR_DIE(call) do { if ((call) < 0) { perror(#call); exit(1); } } while (0)

static int listener, folder, sink_port;

/* The folder's sync, shared: whoever finds nobody syncing does it for all who came before. */
static struct { pthread_mutex_t lock; pthread_cond_t ended; uint64_t asked, done; int under_way; } names =
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0 };

static void sync_names(void) {
    pthread_mutex_lock(&names.lock);
    uint64_t mine = ++names.asked;
    while (names.done < mine) {
        if (names.under_way) { pthread_cond_wait(&names.ended, &names.lock); continue; }
        names.under_way = 1;
        uint64_t upto = names.asked;
        pthread_mutex_unlock(&names.lock);
        OR_DIE(fsync(folder));
        pthread_mutex_lock(&names.lock);
        names.under_way = 0;
        names.done = upto;
        pthread_cond_broadcast(&names.ended);
    }
    pthread_mutex_unlock(&names.lock);
}

/* What is stored and not forwarded yet, by number, in a ring. */
#define RING (1 << 20)
static struct { pthread_mutex_t lock; pthread_cond_t more; uint64_t *numbers, put, taken; } queue =
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0, 0 };

static void enqueue(uint64_t number) {
    pthread_mutex_lock(&queue.lock);
    queue.numbers[queue.put++ % RING] = number;
    pthread_cond_signal(&queue.more);
    pthread_mutex_unlock(&queue.lock);
}

static void store(const char *octets, size_t length) {
    static uint64_t last;
    char name[32], path[64];
    uint64_t number = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    snprintf(name, sizeof name, "%lu", number);
    int fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    OR_DIE(fd);
    if (pwrite(fd, octets, length, 0) != (ssize_t)length) OR_DIE(-1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    OR_DIE(linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW));
    OR_DIE(fsync(fd));
    sync_names();
    close(fd);
    if (sink_port) enqueue(number);
}

static int say(int fd, const char *text) {
    size_t length = strlen(text);
    return send(fd, text, length, MSG_NOSIGNAL) == (ssize_t)length;
}

/* Reads on until the buffer ends like that; how long it is then, or 0. */
static size_t until(int fd, char *buffer, size_t length, const char *end) {
    size_t wanted = strlen(end);
    while (length < wanted || memcmp(buffer + length - wanted, end, wanted)) {
        ssize_t count = length < MOST ? recv(fd, buffer + length, MOST - length, 0) : 0;
        if (count <= 0) return 0;
        length += count;
    }
    return length;
}

static void converse(int fd, char *buffer) {
    if (!say(fd, "220 bare ESMTP\r\n")) return;
    size_t length;
    while ((length = until(fd, buffer, 0, "\r\n"))) {
        if (!strncasecmp(buffer, "QUIT", 4)) { say(fd, "221 bye\r\n"); return; }
        if (strncasecmp(buffer, "DATA", 4)) { if (!say(fd, "250 ok\r\n")) return; continue; }
        if (!say(fd, "354 go\r\n") || !(length = until(fd, buffer, 0, "\r\n.\r\n"))) return;
        store(buffer, length);
        if (!say(fd, "250 stored\r\n")) return;
    }
}

static void *serve(void *unused) {
    char *buffer = malloc(MOST);
    for (int one = 1;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        converse(fd, buffer);
        close(fd);
    }
    return unused;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* So many lines of replies; what they say is not looked at. */
static void hear(int fd, int lines) {
    char octet[512];
    while (lines > 0) {
        ssize_t count = recv(fd, octet, sizeof octet, 0);
        OR_DIE(count - 1);
        for (ssize_t at = 0; at < count; at++) lines -= octet[at] == '\n';
    }
}

static void *forward(void *unused) {
    int one = 1, sink = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(sink_port);
    OR_DIE(connect(sink, (struct sockaddr *)&address, sizeof address));
    setsockopt(sink, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    hear(sink, 1);
    say(sink, "HELO bare\r\n");
    hear(sink, 1);
    char *buffer = malloc(MOST), name[32];
    for (;;) {
        pthread_mutex_lock(&queue.lock);
        while (queue.taken == queue.put) pthread_cond_wait(&queue.more, &queue.lock);
        snprintf(name, sizeof name, "%lu", queue.numbers[queue.taken++ % RING]);
        pthread_mutex_unlock(&queue.lock);
        int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
        OR_DIE(fd);
        ssize_t length = read(fd, buffer, MOST);
        OR_DIE(length);
        say(sink, "MAIL FROM:<from@src.example>\r\nRCPT TO:<to@dst.example>\r\nDATA\r\n");
        hear(sink, 3);
        OR_DIE(send(sink, buffer, length, MSG_NOSIGNAL));
        hear(sink, 1);
        OR_DIE(unlinkat(folder, name, 0));
        close(fd);
    }
    return unused;
}

static void start(void *(*work)(void *), int threads) {
    pthread_t thread;
    while (threads-- > 0) OR_DIE(-pthread_create(&thread, NULL, work, NULL));
}

int main(int count, char **arguments) {
    int option, port = 0, threads = 640, senders = 4, one = 1;
    const char *path = ".";
    while ((option = getopt(count, arguments, "p:s:t:r:n:")) != -1) switch (option) {
        case 'p': port = atoi(optarg); break;
        case 's': path = optarg; break;
        case 't': threads = atoi(optarg); break;
        case 'r': sink_port = atoi(optarg); break;
        case 'n': senders = atoi(optarg); break;
        default: return 2;
    }
    OR_DIE(folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    OR_DIE(listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = loopback(port);
    OR_DIE(bind(listener, (struct sockaddr *)&address, sizeof address));
    OR_DIE(listen(listener, 4096));
    queue.numbers = calloc(RING, sizeof *queue.numbers);
    start(serve, threads);
    if (sink_port) start(forward, senders);
    for (uint64_t synced = 0;; usleep(5000)) {
        uint64_t taken = __atomic_load_n(&queue.taken, __ATOMIC_RELAXED);
        if (taken != synced) OR_DIE(fsync(folder));
        synced = taken;
    }
}
