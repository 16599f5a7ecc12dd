// What doctor says of certificates, and of files that others may read or write.
#include "base/json.h"
#include "cli/doctor.h"
#include "cli/output.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY (86400 * (int64_t)GR_USEC_PER_SEC)
#define NOW ((struct gr_wall){.usec = 20000 * DAY})

static char path[64];

static int enter(void **state)
{
    (void)state;
    strcpy(path, "/tmp/grayling-secret-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 || close(fd) < 0 ? -1 : 0;
}

static int leave(void **state)
{
    (void)state;
    return unlink(path);
}

// Valid from and until so many days after NOW.
static void write_certificate(int from, int until)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *one = X509_new();
    time_t now = (time_t)(NOW.usec / (int64_t)GR_USEC_PER_SEC);
    FILE *f = fopen(path, "w");
    assert_true(key && one && f);
    ASN1_TIME_set(X509_getm_notBefore(one), now + from * (time_t)86400);
    ASN1_TIME_set(X509_getm_notAfter(one), now + until * (time_t)86400);
    X509_set_pubkey(one, key);
    assert_true(X509_sign(one, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(f, one), 1);
    fclose(f);
    X509_free(one);
    EVP_PKEY_free(key);
}

static void assert_last(struct gr_doctor *d, const char *health, const char *part)
{
    const cJSON *last = cJSON_GetArrayItem(d->lines, cJSON_GetArraySize(d->lines) - 1);
    assert_string_equal(gr_output_text(last, "state"), health);
    if (!strstr(gr_output_text(last, "message"), part))
        fail_msg("expected \"%s\" in: %s", part, gr_output_text(last, "message"));
}

static void test_certificates(void **state)
{
    static const struct {
        int from, until;
        const char *health, *part;
    } all[] = {{-1, 90, "ok", "another 90 days"},
               {-1, 21, "ok", "another 21 days"},
               {-1, 20, "warn", "expires in 20 days: renew"},
               {-30, -2, "fail", "expired 2 days ago: renew"},
               {1, 90, "fail", "not valid yet"}};
    struct gr_doctor d = {.lines = cJSON_CreateArray(), .service = geteuid()};
    (void)state;
    for (size_t i = 0; i < GR_COUNT(all); i++) {
        write_certificate(all[i].from, all[i].until);
        gr_doctor_check_certificate(&d, "etcd CA", path, NOW);
        assert_last(&d, all[i].health, all[i].part);
    }
    assert_int_equal(truncate(path, 0), 0);
    gr_doctor_check_certificate(&d, "etcd CA", path, NOW);
    assert_last(&d, "fail", "holds no certificate");
    cJSON_Delete(d.lines);
}

static void test_permissions(void **state)
{
    struct gr_doctor d = {.lines = cJSON_CreateArray(), .service = geteuid()};
    (void)state;
    chmod(path, 0600);
    assert_true(gr_doctor_check_file(&d, "etcd key", path, true));
    assert_int_equal(cJSON_GetArraySize(d.lines), 0);
    chmod(path, 0644);
    assert_true(gr_doctor_check_file(&d, "trust root", path, false));
    assert_false(gr_doctor_check_file(&d, "etcd key", path, true));
    assert_last(&d, "fail", "can be read by others: chmod 0600");
    chmod(path, 0664);
    assert_false(gr_doctor_check_file(&d, "trust root", path, false));
    assert_last(&d, "fail", "can be written by others: chmod 0644");
    assert_false(gr_doctor_check_file(&d, "etcd key", "/nowhere/key", true));
    assert_last(&d, "fail", "No such file");
    assert_int_equal(d.worst, GR_HEALTH_FAIL);
    cJSON_Delete(d.lines);
}

static void test_an_admin_token_is_for_nobody_else(void **state)
{
    struct gr_doctor d = {.lines = cJSON_CreateArray(), .service = geteuid()};
    struct gr_config c = {.admin_token_file = path};
    (void)state;
    chmod(path, 0600);
    gr_doctor_check_secrets(&d, &c, NOW);
    assert_last(&d, "ok", path);
    chmod(path, 0644);
    gr_doctor_check_secrets(&d, &c, NOW);
    assert_last(&d, "fail", "can be read by others: chmod 0600");
    cJSON_Delete(d.lines);
}

// Only root can give a file away.
static void test_a_file_of_somebody_else(void **state)
{
    struct gr_doctor d = {.lines = cJSON_CreateArray(), .service = 12};
    (void)state;
    chmod(path, 0600);
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(path, 4711, (gid_t)-1), 0);
    assert_false(gr_doctor_check_file(&d, "etcd password", path, true));
    assert_last(&d, "fail", "belongs to uid 4711, who can change it; expected root or uid 12");
    assert_int_equal(chown(path, 12, (gid_t)-1), 0);
    assert_true(gr_doctor_check_file(&d, "etcd password", path, true));
    assert_int_equal(chown(path, 0, (gid_t)-1), 0);
    assert_true(gr_doctor_check_file(&d, "etcd password", path, true));
    cJSON_Delete(d.lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_certificates),
                                       cmocka_unit_test(test_permissions),
                                       cmocka_unit_test(test_an_admin_token_is_for_nobody_else),
                                       cmocka_unit_test(test_a_file_of_somebody_else)};
    return cmocka_run_group_tests(tests, enter, leave);
}
