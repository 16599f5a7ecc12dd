// The answer from 1.1.0 on: it names the fee and, when a module provides token validation, says
// whether the caller's token is good.
#include "pay.h"
#include <stdio.h>
#include <string.h>

#define VALIDATOR "com.example.auth.TokenValidator"

// 1.4 percent, rounded half up.
static int64_t fee_cents(int64_t amount_cents)
{
    return (amount_cents * 14 + 500) / 1000;
}

// A header's value as JSON text; false: it has bytes that no token has, or too many.
static bool quote_token(const char *token, char *json, size_t size)
{
    for (const char *p = token; *p; p++)
        if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
            return false;
    int len = snprintf(json, size, "{\"token\":\"%s\"}", token);
    return len > 0 && (size_t)len < size;
}

// Asks the validator of the table that this request sees. *ret: ",\"authorized\":true" or so, or
// nothing when nobody validates. Fails with the validator's code: undecided is not "no".
static int32_t authorize(const struct pay *pay, struct grayling_call *call,
                         const struct grayling_request *request, const char **ret)
{
    const char *token = request_header(request, "authorization");
    char payload[JSON_TEXT_MAX + 16], why[JSON_WHY_MAX];
    struct grayling_bytes answer;
    struct json_field valid = {.name = "valid", .type = JSON_BOOLEAN};
    if (!quote_token(token ? token : "", payload, sizeof payload))
        quote_token("", payload, sizeof payload);
    int32_t code = pay->host->call(call, VALIDATOR, "Validate",
                                   (struct grayling_bytes){payload, strlen(payload)}, &answer);
    *ret = "";
    if (code == GRAYLING_UNIMPLEMENTED)
        return GRAYLING_OK;
    if (code != GRAYLING_OK)
        return respond_failure(pay->host, call, code,
                               VALIDATOR "/Validate failed with code %d, so the charge was not "
                                         "made; try again.",
                               code);
    if (!json_read(answer.data, answer.size, &valid, 1, JSON_SKIP_UNKNOWN, why) || !valid.present)
        return respond_failure(pay->host, call, GRAYLING_INTERNAL,
                               VALIDATOR "/Validate answered something else than "
                                         "{\"valid\": true or false}.");
    *ret = valid.boolean ? ",\"authorized\":true" : ",\"authorized\":false";
    return GRAYLING_OK;
}

int32_t pay_answer(const struct pay *pay, struct grayling_call *call,
                   const struct grayling_request *request, const struct pay_charge *charge)
{
    const char *authorized;
    int32_t code = authorize(pay, call, request, &authorized);
    if (code != GRAYLING_OK)
        return code;
    return respond_text(pay->host, call,
                        "{\"charge_id\":\"%s\",\"amount_cents\":%lld,\"fee_cents\":%lld,"
                        "\"currency\":\"%s\",\"status\":\"charged\"%s}",
                        charge->id, (long long)charge->amount_cents,
                        (long long)fee_cents(charge->amount_cents), charge->currency, authorized);
}
