// The frame of every release of pay: configuration, reading of requests, Charge and Refund.
#include "pay.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define AMOUNT_MAX INT64_C(100000000000) // a billion, in cents
#define WORK_USEC_MAX 1000000

enum { METHOD_CHARGE, METHOD_REFUND }; // the order of module.yaml

static uint64_t now_usec(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void pay_work(uint64_t usec)
{
    for (uint64_t end = usec ? now_usec() + usec : 0; end && now_usec() < end;)
        continue;
}

static bool is_currency(const char *text)
{
    return strlen(text) == PAY_CURRENCY_LEN &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == PAY_CURRENCY_LEN;
}

static bool read_config(struct pay *pay, const struct grayling_bytes *config,
                        char why[JSON_WHY_MAX])
{
    struct json_field fields[] = {{.name = "currency", .type = JSON_TEXT},
                                  {.name = "work_us", .type = JSON_INTEGER}};
    if (!json_read(config->data, config->size, fields, 2, JSON_REFUSE_UNKNOWN, why))
        return false;
    strcpy(pay->currency, "EUR");
    if (fields[0].present && !is_currency(fields[0].text)) {
        snprintf(why, JSON_WHY_MAX,
                 "config.currency must be three capital letters like EUR, not \"%.20s\".",
                 fields[0].text);
        return false;
    }
    if (fields[0].present)
        strcpy(pay->currency, fields[0].text);
    if (fields[1].integer < 0 || fields[1].integer > WORK_USEC_MAX) {
        snprintf(why, JSON_WHY_MAX, "config.work_us must be from 0 to %d, not %lld.", WORK_USEC_MAX,
                 (long long)fields[1].integer);
        return false;
    }
    pay->work_usec = (uint64_t)fields[1].integer;
    return true;
}

static int32_t init(const struct grayling_host *host, const struct grayling_init *init, void **self)
{
    char why[JSON_WHY_MAX];
    struct pay *pay = host->alloc(host, sizeof *pay);
    if (!pay)
        return GRAYLING_RESOURCE_EXHAUSTED;
    *pay = (struct pay){.host = host};
    if (!read_config(pay, &init->config, why)) {
        host->log(host, GRAYLING_LOG_ERROR, why);
        host->free(host, pay);
        return GRAYLING_INVALID_ARGUMENT;
    }
    *self = pay;
    return GRAYLING_OK;
}

// Reads what Charge and Refund have in common. False: why[] says what the client got wrong.
static bool read_payment(const struct pay *pay, const struct grayling_bytes *payload,
                         struct pay_charge *ret, char why[JSON_WHY_MAX])
{
    struct json_field fields[] = {{.name = "amount_cents", .type = JSON_INTEGER},
                                  {.name = "currency", .type = JSON_TEXT}};
    if (!json_read(payload->data, payload->size, fields, 2, JSON_SKIP_UNKNOWN, why))
        return false;
    if (fields[0].integer < 0 || fields[0].integer > AMOUNT_MAX) {
        snprintf(why, JSON_WHY_MAX, "amount_cents must be from 0 to %lld, not %lld.",
                 (long long)AMOUNT_MAX, (long long)fields[0].integer);
        return false;
    }
    if (fields[1].present && !is_currency(fields[1].text)) {
        snprintf(why, JSON_WHY_MAX,
                 "currency must be three capital letters like EUR, not \"%.20s\".", fields[1].text);
        return false;
    }
    ret->amount_cents = fields[0].integer;
    strcpy(ret->currency, fields[1].present ? fields[1].text : pay->currency);
    return true;
}

// FNV-1a over the request's id and payment: the same request gets the same charge from any
// instance.
static void set_charge_id(struct pay_charge *charge, const char *request_id)
{
    char text[160];
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    snprintf(text, sizeof text, "%.100s %lld %s", request_id ? request_id : "",
             (long long)charge->amount_cents, charge->currency);
    for (const char *p = text; *p; p++)
        hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    snprintf(charge->id, sizeof charge->id, "ch_%016llx", (unsigned long long)hash);
}

static int32_t charge(struct pay *pay, struct grayling_call *call,
                      const struct grayling_request *request)
{
    struct pay_charge c;
    char why[JSON_WHY_MAX];
    int32_t code = pay_defect(pay, call, atomic_fetch_add(&pay->charges, 1) + 1);
    if (code != GRAYLING_OK)
        return code;
    if (!read_payment(pay, &request->payload, &c, why))
        return respond_failure(pay->host, call, GRAYLING_INVALID_ARGUMENT, "%s", why);
    pay_work(pay->work_usec);
    set_charge_id(&c, request->request_id);
    return pay_answer(pay, call, request, &c);
}

static int32_t refund(struct pay *pay, struct grayling_call *call,
                      const struct grayling_request *request)
{
    struct pay_charge c;
    char why[JSON_WHY_MAX];
    if (!read_payment(pay, &request->payload, &c, why))
        return respond_failure(pay->host, call, GRAYLING_INVALID_ARGUMENT, "%s", why);
    pay_work(pay->work_usec);
    unsigned long long number = atomic_fetch_add(&pay->refunds, 1) + 1;
    return respond_text(pay->host, call,
                        "{\"refund_id\":\"re_%llu\",\"amount_cents\":%lld,\"currency\":\"%s\","
                        "\"status\":\"refunded\"}",
                        number, (long long)c.amount_cents, c.currency);
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    struct pay *pay = self;
    if (request->codec == GRAYLING_CODEC_PROTO)
        return respond_failure(pay->host, call, GRAYLING_UNIMPLEMENTED,
                               "pay speaks JSON only; send content-type: application/json.");
    return request->method == METHOD_CHARGE ? charge(pay, call, request)
                                            : refund(pay, call, request);
}

// A payment that must be read as it was written, and one that must be refused.
static int32_t self_test(void *self)
{
    static const char good[] = "{\"amount_cents\": 1250, \"currency\": \"CHF\"}";
    static const char bad[] = "{\"amount_cents\": -1}";
    struct pay_charge c;
    char why[JSON_WHY_MAX];
    if (!read_payment(self, &(struct grayling_bytes){good, sizeof good - 1}, &c, why) ||
        c.amount_cents != 1250 || strcmp(c.currency, "CHF") != 0 ||
        read_payment(self, &(struct grayling_bytes){bad, sizeof bad - 1}, &c, why))
        return GRAYLING_INTERNAL;
    return GRAYLING_OK;
}

static void destroy(void *self)
{
    struct pay *pay = self;
    pay->host->free(pay->host, pay);
}

static const struct grayling_module pay_module = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof pay_module,
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .self_test = self_test,
    .handle = handle,
    .destroy = destroy,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &pay_module;
}
