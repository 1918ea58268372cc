/* Keeps, beside a folder, what a disk holds of it after a power cut at any moment: each file as it was when
 * it was last synced. Preloaded into a process; a file that was never synced is not there at all. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void keep(int fd) {
    const char *folder = getenv("POWERCUT_FOLDER"), *disk = getenv("POWERCUT_DISK");
    char link[64], path[PATH_MAX], temporary[PATH_MAX], final[PATH_MAX];
    struct stat facts;
    if (!folder || !disk || fstat(fd, &facts) || !S_ISREG(facts.st_mode)) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    const char *name = strrchr(path, '/') + 1;
    if (strncmp(path, folder, strlen(folder)) || strchr(path + strlen(folder) + 1, '/')) return;
    snprintf(temporary, sizeof temporary, "%s/.%s", disk, name);
    snprintf(final, sizeof final, "%s/%s", disk, name);
    pthread_mutex_lock(&one_at_a_time);
    int out = open(temporary, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    static char block[1 << 16];
    off_t at = 0;
    ssize_t got;
    /* By the same descriptor: opening the file a second time and closing it would take SQLite's locks away. */
    while (out >= 0 && (got = pread(fd, block, sizeof block, at)) > 0 && write(out, block, got) == got) at += got;
    if (out >= 0 && !close(out)) rename(temporary, final);
    pthread_mutex_unlock(&one_at_a_time);
}

static int synced(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd), error = errno;
    if (!result) keep(fd);
    errno = error;
    return result;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
