// Credentials against a real etcd: users with tokens that die, and TLS with client certificates.
#include "watchers/live/etcd-process.h"
#include "watchers/live/world.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// after its needs
#include <cmocka.h>

#define PAY "/modules/order/pay/v2"

struct fixture {
    struct gr_test_etcd etcd;
    struct gr_world world;
    char password_file[96], ca[96], cert[96], key[96];
    const char *endpoints[1];
    struct gr_etcd_config config;
};

static int set_up_with(void **state, bool tls)
{
    struct fixture *f = calloc(1, sizeof *f);
    gr_test_etcd_init(&f->etcd, tls);
    gr_world_init(&f->world);
    snprintf(f->password_file, sizeof f->password_file, "%s/password", f->etcd.dir);
    snprintf(f->ca, sizeof f->ca, "%s/ca.pem", f->etcd.dir);
    snprintf(f->cert, sizeof f->cert, "%s/client.pem", f->etcd.dir);
    snprintf(f->key, sizeof f->key, "%s/client.key", f->etcd.dir);
    f->endpoints[0] = f->etcd.url;
    f->config = (struct gr_etcd_config){.n_endpoints = 1, .endpoints = f->endpoints};
    if (tls) {
        f->config.ca_file = f->ca;
        f->config.cert_file = f->cert;
        f->config.key_file = f->key;
    }
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, false);
}

static int set_up_tls(void **state)
{
    return set_up_with(state, true);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    gr_world_done(&f->world);
    gr_test_etcd_done(&f->etcd);
    free(f);
    return 0;
}

static void write_password(struct fixture *f, const char *text)
{
    FILE *file = fopen(f->password_file, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    f->config.user = "root";
    f->config.password_file = f->password_file;
}

static void enable_auth(struct fixture *f)
{
    gr_test_etcdctl(&f->etcd, (const char *[]){"user", "add", "root:secret", NULL});
    gr_test_etcdctl(&f->etcd, (const char *[]){"user", "grant-role", "root", "root", NULL});
    gr_test_etcdctl(&f->etcd, (const char *[]){"auth", "enable", NULL});
}

static void follow(struct fixture *f)
{
    gr_world_follow(&f->world, &f->config, (struct gr_source_floor){0});
}

static bool has(const struct gr_world *w, const char *value)
{
    const char *v = gr_world_value(w, "pay");
    return v && !strcmp(v, value);
}

static void a_token_is_renewed_after_a_restart_of_etcd(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = &f->world;
    gr_test_etcd_start(&f->etcd);
    enable_auth(f);
    write_password(f, "secret\n");
    follow(f);
    GR_UNTIL(w, w->health.up && w->n_snapshots);
    gr_world_put(w, PAY, "1");
    GR_UNTIL(w, has(w, "1"));
    gr_test_etcd_signal(&f->etcd, SIGKILL);
    GR_UNTIL(w, !w->health.up);
    gr_test_etcd_start(&f->etcd);
    GR_UNTIL(w, w->health.up);
    gr_world_put(w, PAY, "2");
    GR_UNTIL(w, has(w, "2"));
}

static void authentication_may_be_switched_on_and_off(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = &f->world;
    gr_test_etcd_start(&f->etcd);
    write_password(f, "secret\n");
    follow(f);
    GR_UNTIL(w, w->health.up && w->n_snapshots);
    gr_world_put(w, PAY, "1");
    enable_auth(f);
    gr_world_put(w, PAY, "2");
    GR_UNTIL(w, has(w, "2"));
    gr_test_etcdctl(&f->etcd, (const char *[]){"--user", "root:secret", "auth", "disable", NULL});
    gr_world_put(w, PAY, "3");
    GR_UNTIL(w, has(w, "3"));
}

// Switching authentication off makes etcd forget its tokens; nobody asks meanwhile, so ours is sent
// once more.
static void a_token_that_died_is_renewed(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = &f->world;
    gr_test_etcd_start(&f->etcd);
    enable_auth(f);
    write_password(f, "secret\n");
    follow(f);
    GR_UNTIL(w, w->health.up && w->n_snapshots);
    gr_world_put(w, PAY, "1");
    gr_test_etcdctl(&f->etcd, (const char *[]){"--user", "root:secret", "auth", "disable", NULL});
    gr_test_etcdctl(&f->etcd, (const char *[]){"auth", "enable", NULL});
    gr_world_put(w, PAY, "2");
    GR_UNTIL(w, has(w, "2"));
}

static void a_wrong_password_is_told_and_its_correction_taken_up(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = &f->world;
    gr_test_etcd_start(&f->etcd);
    enable_auth(f);
    write_password(f, "wrong\n");
    follow(f);
    GR_UNTIL(w, strstr(w->health.message, "invalid user ID or password"));
    assert_false(w->health.up);
    assert_non_null(strstr(w->health.message, "\"root\""));
    assert_null(strstr(w->health.message, "wrong"));
    write_password(f, "secret\n");
    GR_UNTIL(w, w->health.up && w->n_snapshots);
}

static void a_role_without_access_is_told(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = &f->world;
    gr_test_etcd_start(&f->etcd);
    gr_test_etcdctl(&f->etcd, (const char *[]){"user", "add", "guest:guest", NULL});
    enable_auth(f);
    f->config.user = "guest";
    f->config.password = "guest";
    follow(f);
    GR_UNTIL(w, strstr(w->health.message, "permission denied"));
    assert_non_null(strstr(w->health.message, "Grant"));
    assert_int_equal(w->n_snapshots, 0);
}

static void tls_with_a_client_certificate(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = &f->world;
    gr_test_etcd_start(&f->etcd);
    follow(f);
    GR_UNTIL(w, w->health.up && w->n_snapshots);
    gr_world_put(w, PAY, "1");
    GR_UNTIL(w, has(w, "1"));
}

static void tls_with_user_and_password(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = &f->world;
    gr_test_etcd_start(&f->etcd);
    enable_auth(f);
    write_password(f, "secret\n");
    follow(f);
    GR_UNTIL(w, w->health.up && w->n_snapshots);
    gr_world_put(w, PAY, "1");
    GR_UNTIL(w, has(w, "1"));
}

static void an_unknown_authority_is_refused(void **state)
{
    struct fixture *f = *state;
    struct gr_world *w = &f->world;
    gr_test_etcd_start(&f->etcd);
    f->config.ca_file = NULL; // the system's authorities have not signed it
    follow(f);
    GR_UNTIL(w, strstr(w->health.message, "certificate"));
    assert_false(w->health.up);
    assert_int_equal(w->n_snapshots, 0);
}

int main(void)
{
    if (!gr_test_etcd_is_installed())
        return 77;
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define T_TLS(f) cmocka_unit_test_setup_teardown(f, set_up_tls, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_token_is_renewed_after_a_restart_of_etcd),
        T(authentication_may_be_switched_on_and_off),
        T(a_token_that_died_is_renewed),
        T(a_wrong_password_is_told_and_its_correction_taken_up),
        T(a_role_without_access_is_told),
        T_TLS(tls_with_a_client_certificate),
        T_TLS(tls_with_user_and_password),
        T_TLS(an_unknown_authority_is_refused),
    };
#undef T
#undef T_TLS
    return cmocka_run_group_tests(tests, NULL, NULL);
}
