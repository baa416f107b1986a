/* A wall clock that is wrong by HOST_CLOCK_ERROR seconds, for LD_PRELOAD. All other clocks, and all
   waits, are as they are: libfaketime changes the absolute waits of the monotonic clock, too, and
   then time.sleep of Python fails with EINVAL. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

typedef int clock_function(clockid_t, struct timespec *);

static long find_error(void)
{
    const char *said = getenv("HOST_CLOCK_ERROR");
    return said ? atol(said) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static clock_function *real;
    static long error;
    if (!real) {
        error = find_error();
        real = (clock_function *)dlsym(RTLD_NEXT, "clock_gettime");
    }
    int status = real(clock, now);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += error;
    return status;
}

time_t time(time_t *there)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (there)
        *there = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict there, void *restrict zone)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    there->tv_sec = now.tv_sec;
    there->tv_usec = now.tv_nsec / 1000;
    return 0;
}
