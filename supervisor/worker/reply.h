// The answers of the front door as the library wants them.
#pragma once
#include "worker/exchange.h"

// A refusal of the front door itself, as Connect's error document.
struct gr_refusal {
    unsigned status;
    int32_t code;
    const char *message;
    const char *header, *header_value; // one more header; NULL: none
    bool close;
};
enum MHD_Result gr_reply_refusal(struct gr_exchange *x, const struct gr_refusal *r);
// What the module answered, x->response.
enum MHD_Result gr_reply_response(struct gr_exchange *x, uint32_t codec);
// `text` is copied.
enum MHD_Result gr_reply_text(struct gr_exchange *x, unsigned status, const char *text);
// Answers for a call that is given up, and ends what the client hears. The connection stays.
void gr_reply_give_up(const struct gr_exchange *x, const struct gr_overdue *o);
// The body's framing holds more than fits into a connection's memory.
void gr_reply_stalled(int fd);
