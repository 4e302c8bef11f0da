/*
 * Records with LTTng-UST what the bench asks for: reads lines "<bytes> <events>", answers each with the nanoseconds of
 * processor time that it took, or with a word that is no number.
 */
#define _GNU_SOURCE
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "provider.h"

#include <stdio.h>
#include <time.h>

static unsigned long long processor_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

#define RECORD(bytes) \
    case bytes: \
        if (!lttng_ust_tracepoint_enabled(afterglow_bench, payload_##bytes)) { \
            puts("disabled"); \
            break; \
        } \
        start = processor_ns(); \
        for (unsigned long long i = 0; i < events; i++) { \
            const uint64_t *payload = words; \
            /* The payload may be another one each time. */ \
            __asm__ volatile("" : "+r"(payload) : : "memory"); \
            lttng_ust_tracepoint(afterglow_bench, payload_##bytes, payload); \
        } \
        printf("%llu\n", processor_ns() - start); \
        break;

int main(void) {
    uint64_t words[32];
    unsigned long long events, start;
    unsigned bytes;

    for (unsigned i = 0; i < 32; i++)
        words[i] = 0x0123456789abcdefull ^ i;
    while (scanf("%u %llu", &bytes, &events) == 2) {
        switch (bytes) {
        RECORD(8)
        RECORD(16)
        RECORD(32)
        RECORD(64)
        RECORD(256)
        default:
            puts("unknown");
        }
        fflush(stdout);
    }
    return 0;
}
