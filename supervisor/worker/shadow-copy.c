// One allocation for everything but body and answer.
#include "worker/shadow-copy.h"
#include <errno.h>
#include <string.h>

static size_t text_size(const char *s)
{
    return s ? strlen(s) + 1 : 0;
}

static size_t texts_size(const struct grayling_request *q)
{
    size_t n = text_size(q->interface_name) + text_size(q->method_name) + text_size(q->request_id);
    for (uint32_t i = 0; i < q->n_headers; i++)
        n += text_size(q->headers[i].name) + text_size(q->headers[i].value);
    return n;
}

static const char *keep(char **at, const char *s)
{
    if (!s)
        return NULL;
    char *kept = *at;
    *at = stpcpy(kept, s) + 1;
    return kept;
}

struct gr_shadow_copy *gr_shadow_copy_new(const struct grayling_request *q,
                                          const struct gr_shadow_turn *turn, uint64_t allowed_usec)
{
    size_t bytes = sizeof(struct gr_shadow_copy) +
                   (q->n_headers + 1) * sizeof(struct grayling_header) + texts_size(q);
    struct gr_shadow_copy *c = malloc(bytes);
    if (!c)
        return NULL;
    *c = (struct gr_shadow_copy){
        .request = *q, .turn = *turn, .allowed_usec = allowed_usec, .bytes = bytes};
    char *at = (char *)&c->headers[q->n_headers + 1];
    c->request.interface_name = keep(&at, q->interface_name);
    c->request.method_name = keep(&at, q->method_name);
    c->request.request_id = keep(&at, q->request_id);
    c->request.deadline_usec = 0;
    c->request.payload = (struct grayling_bytes){0};
    for (uint32_t i = 0; i < q->n_headers; i++) {
        c->headers[i].name = keep(&at, q->headers[i].name);
        c->headers[i].value = keep(&at, q->headers[i].value);
    }
    c->headers[q->n_headers] = (struct grayling_header){GR_SHADOW_HEADER, "1"};
    c->request.headers = c->headers;
    c->request.n_headers = q->n_headers + 1;
    c->body = NULL;
    return c;
}

int gr_shadow_copy_complete(struct gr_shadow_copy *c, char *body, size_t body_len,
                            const struct gr_response *stable)
{
    c->body = body;
    c->request.payload = (struct grayling_bytes){body, body_len};
    c->code = stable->code;
    c->answer_len = (size_t)stable->payload.size;
    c->bytes += body_len + c->answer_len;
    c->answer = c->answer_len ? malloc(c->answer_len) : NULL;
    if (c->answer_len && !c->answer)
        return -ENOMEM;
    if (c->answer_len)
        memcpy(c->answer, stable->payload.data, c->answer_len);
    c->born = gr_mono_now();
    return 0;
}

void gr_shadow_copy_free(struct gr_shadow_copy *c)
{
    if (!c)
        return;
    free(c->body);
    free(c->answer);
    free(c);
}

int gr_shadow_copy_same(const struct gr_shadow_copy *c, const struct gr_response *r,
                        const struct gr_json_ignore *ignore)
{
    size_t len = (size_t)r->payload.size;
    if (r->code != c->code)
        return 0;
    if (r->code != GRAYLING_OK)
        return 1;
    if (c->request.codec == GRAYLING_CODEC_JSON)
        return gr_json_same(c->answer, c->answer_len, r->payload.data, len, ignore);
    return len == c->answer_len && (len == 0 || memcmp(c->answer, r->payload.data, len) == 0);
}
