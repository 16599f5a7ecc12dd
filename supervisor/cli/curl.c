// Owns the only curl handles of grayctl that are not on an event loop. Follows no redirect.
#include "cli/curl.h"
#include "base/clock.h"
#include "base/limits.h"
#include <curl/curl.h>
#include <errno.h>
#include <string.h>

static size_t on_bytes(char *bytes, size_t size, size_t n, void *userdata)
{
    (void)size; // always 1
    return gr_buf_append(userdata, bytes, n) < 0 ? 0 : n;
}

static int judge(CURL *curl, CURLcode code, const struct gr_curl_ask *ask, const char *detail,
                 struct gr_error *e)
{
    const char *where = ask->unix_path ? ask->unix_path : ask->url;
    const char *why = *detail ? detail : curl_easy_strerror(code);
    long os_errno = 0;
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
    if (ask->unix_path && os_errno) // curl's own words speak of ports
        why = strerror((int)os_errno);
    if (code == CURLE_OK)
        return 0;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return gr_error_set_retryable(e, -ETIME, GR_REASON_NONE, "no answer from %s in time: %s",
                                      where, why);
    if (code == CURLE_WRITE_ERROR)
        return gr_error_set(e, -E2BIG, GR_REASON_NONE, "the answer of %s is larger than %u bytes",
                            where, GR_RESPONSE_BYTES_MAX);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
        code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR)
        return gr_error_set_retryable(e, -ECONNREFUSED, GR_REASON_NONE, "nobody answers at %s: %s",
                                      where, why);
    return gr_error_set(e, -EIO, GR_REASON_NONE, "cannot ask %s: %s", where, why);
}

static void set_up(CURL *curl, const struct gr_curl_ask *ask, struct curl_slist *headers,
                   struct gr_curl_answer *a, char *detail)
{
    uint64_t timeout = ask->timeout_usec ? ask->timeout_usec : 30 * GR_USEC_PER_SEC;
    curl_easy_setopt(curl, CURLOPT_URL, ask->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); // a daemon is asked directly
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout / GR_USEC_PER_MSEC + 1));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &a->head);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &a->body);
    if (ask->unix_path)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, ask->unix_path);
    if (ask->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body_len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, ask->body);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, ask->method);
}

int gr_curl(const struct gr_curl_ask *ask, struct gr_curl_answer *ret, struct gr_error *e)
{
    struct gr_curl_answer a = {.head = GR_BUF(GR_HEADER_BYTES_MAX),
                               .body = GR_BUF(GR_RESPONSE_BYTES_MAX)};
    char detail[CURL_ERROR_SIZE] = "";
    // no "Expect: 100-continue": it costs a second against servers that do not know it
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:"), *more = headers;
    for (const char *const *h = ask->headers; more && h && *h; h++)
        more = curl_slist_append(headers, *h);
    CURL *curl = more ? curl_easy_init() : NULL;
    int r;
    if (curl) {
        set_up(curl, ask, headers, &a, detail);
        r = judge(curl, curl_easy_perform(curl), ask, detail, e);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a.status);
        curl_easy_cleanup(curl);
    } else {
        r = gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "cannot ask %s: out of memory", ask->url);
    }
    curl_slist_free_all(headers);
    if (r < 0) {
        gr_curl_answer_done(&a);
        return r;
    }
    *ret = a;
    return 0;
}

void gr_curl_answer_done(struct gr_curl_answer *a)
{
    gr_buf_done(&a->head);
    gr_buf_done(&a->body);
}
