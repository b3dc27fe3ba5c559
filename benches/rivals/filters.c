/* Two helpers of a relay on Unix sockets, which cost as little as such programs can: a policy service that says DUNNO to each question,
   and a milter that wants to see each step of a message and agrees to each. A thread for each connection.
     filters POLICY MILTER */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LARGEST = 1 << 20 };

static int all(int fd, void *octets, size_t size, int writes) {
    for (char *at = octets; size;) {
        ssize_t done = writes ? write(fd, at, size) : read(fd, at, size);
        if (done <= 0) return 0;
        at += done, size -= (size_t)done;
    }
    return 1;
}

/* A question ends with an empty line. */
static void *policy(void *argument) {
    int fd = (int)(intptr_t)argument;
    char octets[4096], last = 0;
    ssize_t got;
    while ((got = read(fd, octets, sizeof octets)) > 0)
        for (ssize_t at = 0; at < got; at++) {
            static char answer[] = "action=DUNNO\n\n";
            if (octets[at] == '\n' && last == '\n') {
                if (!all(fd, answer, sizeof answer - 1, 1)) goto end;
                last = 0;
            } else
                last = octets[at];
        }
end:
    close(fd);
    return NULL;
}

static void *milter(void *argument) {
    int fd = (int)(intptr_t)argument;
    char *packet = malloc(LARGEST);
    uint32_t size;
    while (packet && all(fd, &size, 4, 0) && (size = ntohl(size)) && size <= LARGEST && all(fd, packet, size, 0)) {
        static char agreed[] = "\0\0\0\x0dO\0\0\0\x06\0\0\0\0\0\0\0\0", on[] = "\0\0\0\x01" "c";
        char step = packet[0];
        if (step == 'Q') break;
        if (step == 'D' || step == 'A' || step == 'K') continue; /* macros and ends are not answered */
        if (!(step == 'O' ? all(fd, agreed, 17, 1) : all(fd, on, 5, 1))) break;
    }
    free(packet);
    close(fd);
    return NULL;
}

struct door { const char *path; void *(*serve)(void *); };

static void *keep(void *argument) {
    struct door *door = argument;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", door->path);
    unlink(door->path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || chmod(door->path, 0666) || listen(listener, 4096)) {
        perror(door->path);
        exit(1);
    }
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd >= 0 && (pthread_create(&thread, NULL, door->serve, (void *)(intptr_t)fd) || pthread_detach(thread))) close(fd);
    }
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: filters POLICY MILTER\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    static struct door doors[2];
    doors[0] = (struct door){arguments[1], policy};
    doors[1] = (struct door){arguments[2], milter};
    pthread_t thread;
    if (pthread_create(&thread, NULL, keep, &doors[0])) return 1;
    keep(&doors[1]);
}
