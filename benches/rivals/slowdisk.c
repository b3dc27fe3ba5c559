/* A disk whose flushes take time: the file BACKING as MOUNTPOINT/disk, by FUSE; each flush waits MILLISECONDS, one after the other.
 * MOUNTPOINT/count has how many there were. Writes are only as slow as FUSE. `slowdisk BACKING MOUNTPOINT MILLISECONDS [-f]` */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int backing;
static long wait_ns;
static unsigned long flushes;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static int is_count(const char *path) { return !strcmp(path, "/count"); }

static int look(const char *path, struct stat *st, struct fuse_file_info *fi) {
    (void)fi;
    struct stat disk;
    memset(st, 0, sizeof *st);
    st->st_nlink = 1;
    if (!strcmp(path, "/")) {
        st->st_mode = S_IFDIR | 0755;
    } else if (!strcmp(path, "/disk") && !fstat(backing, &disk)) {
        st->st_mode = S_IFREG | 0600;
        st->st_size = disk.st_size;
    } else if (is_count(path)) {
        st->st_mode = S_IFREG | 0444;
        st->st_size = 20;
    } else {
        return -ENOENT;
    }
    return 0;
}

static int list(const char *path, void *names, fuse_fill_dir_t fill, off_t at, struct fuse_file_info *fi, enum fuse_readdir_flags how) {
    (void)path, (void)at, (void)fi, (void)how;
    fill(names, "disk", 0, 0, 0);
    fill(names, "count", 0, 0, 0);
    return 0;
}

static int open_it(const char *path, struct fuse_file_info *fi) {
    fi->direct_io = is_count(path);
    return 0;
}

static int read_it(const char *path, char *octets, size_t size, off_t at, struct fuse_file_info *fi) {
    (void)fi;
    if (is_count(path)) {
        char text[32];
        int length = snprintf(text, sizeof text, "%-19lu\n", __atomic_load_n(&flushes, __ATOMIC_SEQ_CST));
        size_t left = at < length ? (size_t)(length - at) : 0;
        if (size > left) size = left;
        memcpy(octets, text + at, size);
        return (int)size;
    }
    ssize_t done = pread(backing, octets, size, at);
    return done < 0 ? -errno : (int)done;
}

static int write_it(const char *path, const char *octets, size_t size, off_t at, struct fuse_file_info *fi) {
    (void)path, (void)fi;
    ssize_t done = pwrite(backing, octets, size, at);
    return done < 0 ? -errno : (int)done;
}

static int flush_it(const char *path, int data, struct fuse_file_info *fi) {
    (void)path, (void)data, (void)fi;
    struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
    pthread_mutex_lock(&turn);
    __atomic_add_fetch(&flushes, 1, __ATOMIC_SEQ_CST);
    nanosleep(&wait, NULL);
    pthread_mutex_unlock(&turn);
    return 0;
}

static int cut(const char *path, off_t size, struct fuse_file_info *fi) { (void)path, (void)size, (void)fi; return 0; }

static const struct fuse_operations operations = {
    .getattr = look, .readdir = list, .open = open_it, .read = read_it, .write = write_it, .fsync = flush_it, .truncate = cut};

int main(int argc, char **argv) {
    if (argc < 4) return fprintf(stderr, "usage: slowdisk BACKING MOUNTPOINT MILLISECONDS [fuse options]\n"), 64;
    backing = open(argv[1], O_RDWR | O_CLOEXEC);
    if (backing < 0) return perror(argv[1]), 66;
    wait_ns = (long)(atof(argv[3]) * 1e6);
    argv[3] = argv[2];
    argv[2] = argv[0];
    return fuse_main(argc - 2, argv + 2, &operations, NULL);
}
