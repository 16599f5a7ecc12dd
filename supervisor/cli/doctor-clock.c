// Does this host's clock agree with that of etcd, by which the fleet tells newer from older.
#include "cli/doctor.h"
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OFFSET_MAX_SEC 2 // a Date has no fractions, and the answer took its time

void gr_doctor_check_offset(struct gr_doctor *d, const char *head, struct gr_wall now)
{
    char date[64];
    const char *at = head ? strcasestr(head, "\ndate:") : NULL;
    if (!at)
        return;
    at += strlen("\ndate:");
    snprintf(date, sizeof date, "%.*s", (int)strcspn(at, "\r\n"), at);
    time_t theirs = curl_getdate(date, NULL);
    if (theirs < 0)
        return;
    int64_t offset = now.usec / (int64_t)GR_USEC_PER_SEC - (int64_t)theirs;
    if (offset > OFFSET_MAX_SEC || offset < -OFFSET_MAX_SEC)
        gr_doctor_add(d, GR_HEALTH_WARN, "clock of etcd",
                      "this host is %" PRId64 " s %s etcd, expected at most %d: set the clock that "
                      "is wrong; a lift and a conviction are ordered by it",
                      offset < 0 ? -offset : offset, offset < 0 ? "behind" : "ahead of",
                      OFFSET_MAX_SEC);
    else
        gr_doctor_add(d, GR_HEALTH_OK, "clock of etcd", "agrees within %d s", OFFSET_MAX_SEC);
}
