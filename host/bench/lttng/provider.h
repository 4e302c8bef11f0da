/* One event for each size of payload: bytes of constant number, as a typed event of LTTng-UST has. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER afterglow_bench
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./provider.h"

#if !defined(PROVIDER_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define PROVIDER_H

#include <lttng/tracepoint.h>
#include <stdint.h>

#define PAYLOAD(bytes) \
    LTTNG_UST_TRACEPOINT_EVENT(afterglow_bench, payload_##bytes, \
        LTTNG_UST_TP_ARGS(const uint64_t *, words), \
        LTTNG_UST_TP_FIELDS(lttng_ust_field_array(uint64_t, words, words, (bytes) / 8)))

PAYLOAD(8)
PAYLOAD(16)
PAYLOAD(32)
PAYLOAD(64)
PAYLOAD(256)

#endif

#include <lttng/tracepoint-event.h>
