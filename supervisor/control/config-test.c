// The configuration: what wins over what, and every refusal with its file and line. Each test has a
// directory of its own.
#include "base/limits.h"
#include "control/config.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define AUTO_CONFIG GR_CLEANUP(gr_config_freep)
#define NAMED "[Service]\nName=order\n"

static const char *const variables[] = {"GRAYLING_CONFIG", "STATE_DIRECTORY", "RUNTIME_DIRECTORY",
                                        "CREDENTIALS_DIRECTORY"};

struct place {
    char dir[64], file[96], drop_ins[96];
};

static int enter_place(void **state)
{
    static struct place p;
    snprintf(p.dir, sizeof p.dir, "/tmp/grayling-config-XXXXXX");
    if (!mkdtemp(p.dir))
        return -1;
    snprintf(p.file, sizeof p.file, "%s/g.conf", p.dir);
    snprintf(p.drop_ins, sizeof p.drop_ins, "%s/g.conf.d", p.dir);
    for (size_t i = 0; i < GR_COUNT(variables); i++)
        unsetenv(variables[i]);
    *state = &p;
    return 0;
}

static void empty(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *de;
    while (d && (de = readdir(d)))
        unlinkat(dirfd(d), de->d_name, 0); // "." and ".." stay
    if (d)
        closedir(d);
}

static int leave_place(void **state)
{
    struct place *p = *state;
    empty(p->drop_ins);
    rmdir(p->drop_ins);
    empty(p->dir);
    return rmdir(p->dir);
}

static void write_bytes(const char *path, const char *bytes, size_t len)
{
    GR_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
}

static void write_file(const struct place *p, const char *text)
{
    write_bytes(p->file, text, strlen(text));
}

static void write_drop_in(const struct place *p, const char *name, const char *text)
{
    char path[160];
    assert_true(mkdir(p->drop_ins, 0700) == 0 || errno == EEXIST);
    snprintf(path, sizeof path, "%s/%s", p->drop_ins, name);
    write_bytes(path, text, strlen(text));
}

static struct gr_config *load(const struct place *p, char *const *sets, size_t n_sets)
{
    struct gr_config *c = NULL;
    struct gr_error e = {0};
    if (gr_config_load(p->file, sets, n_sets, &c, &e) < 0)
        fail_msg("refused: %s", e.message);
    return c;
}

static struct gr_config *load_text(const struct place *p, const char *text)
{
    write_file(p, text);
    return load(p, NULL, 0);
}

// The sentence begins with `where` and goes on to name `what`.
static void assert_refused(const struct place *p, char *const *sets, size_t n_sets,
                           const char *where, const char *what)
{
    struct gr_config *c = NULL;
    struct gr_error e = {0};
    int k = gr_config_load(p->file, sets, n_sets, &c, &e);
    if (k != -EINVAL || c || e.reason != GR_REASON_DOCUMENT_INVALID ||
        strncmp(e.message, where, strlen(where)) != 0 || !strstr(e.message, what))
        fail_msg("gave %d, \"%s\"; expected %s ... %s", k, e.message, where, what);
}

static void a_name_suffices_and_the_rest_has_defaults(void **state)
{
    AUTO_CONFIG struct gr_config *c = load_text(*state, NAMED);
    assert_string_equal(c->service.s, "order");
    assert_true(c->instance.s[0] != '\0'); // the host name
    assert_string_equal(c->state_dir, "/var/lib/grayling");
    assert_string_equal(c->runtime_dir, "/run/grayling");
    assert_int_equal(c->n_endpoints, 0);
    assert_string_equal(c->directory, "/etc/grayling/modules.d");
    assert_int_equal(c->n_listen, 1);
    assert_string_equal(c->listen[0], "127.0.0.1:8080");
    assert_true(c->threads >= 1);
    assert_string_equal(c->admin_listen, "127.0.0.1:9464");
    assert_string_equal(c->allow_schemes, "https file");
    assert_int_equal(c->max_bytes, GR_ARTIFACT_BYTES_DEFAULT);
    assert_null(c->trust_root_file);
    assert_false(c->sealed_modules || c->access_log);
    assert_null(c->telemetry_endpoint);
    assert_int_equal(c->sample_ppm, 10000);
}

static void the_environment_gives_the_directories(void **state)
{
    setenv("STATE_DIRECTORY", "/s", 1);
    setenv("RUNTIME_DIRECTORY", "/r", 1);
    AUTO_CONFIG struct gr_config *c = load_text(*state, NAMED "RuntimeDirectory=/mine\n");
    assert_string_equal(c->state_dir, "/s");
    assert_string_equal(c->runtime_dir, "/mine"); // the file wins
}

static void the_environment_names_the_file(void **state)
{
    const struct place *p = *state;
    AUTO_CONFIG struct gr_config *c = NULL;
    write_file(p, NAMED);
    setenv("GRAYLING_CONFIG", p->file, 1);
    assert_int_equal(gr_config_load(NULL, NULL, 0, &c, NULL), 0);
    assert_string_equal(c->service.s, "order");
}

static void a_named_file_must_exist(void **state)
{
    const struct place *p = *state;
    struct gr_config *c = NULL;
    struct gr_error e = {0};
    assert_int_equal(gr_config_load(p->file, NULL, 0, &c, &e), -ENOENT);
    assert_non_null(strstr(e.message, p->file));
}

static void drop_ins_win_in_the_order_of_their_names(void **state)
{
    const struct place *p = *state;
    write_drop_in(p, "20-b.conf", "[Etcd]\nUser=second\n");
    write_drop_in(p, "10-a.conf", "[Etcd]\nUser=first\n[Dispatch]\nThreads=3\n");
    write_drop_in(p, ".30-hidden.conf", "[Etcd]\nUser=hidden\n");
    write_drop_in(p, "40-backup.conf.orig", "[Etcd]\nUser=backup\n");
    AUTO_CONFIG struct gr_config *c =
        load_text(p, NAMED "[Etcd]\nUser=file\n[Dispatch]\nThreads=2\n");
    assert_string_equal(c->etcd_user, "second");
    assert_int_equal(c->threads, 3);
}

static void a_bad_drop_in_is_named(void **state)
{
    const struct place *p = *state;
    char where[160];
    write_file(p, NAMED);
    write_drop_in(p, "10-a.conf", "\n[Etcd]\nusr=x\n");
    snprintf(where, sizeof where, "%s/10-a.conf:3: ", p->drop_ins);
    assert_refused(p, NULL, 0, where, "did you mean 'User'?");
}

static void drop_ins_that_cannot_be_read_are_not_ignored(void **state)
{
    const struct place *p = *state;
    struct gr_config *c = NULL;
    struct gr_error e = {0};
    write_file(p, NAMED);
    write_bytes(p->drop_ins, "", 0); // a file where the directory should be
    assert_int_equal(gr_config_load(p->file, NULL, 0, &c, &e), -ENOTDIR);
    assert_non_null(strstr(e.message, p->drop_ins));
    unlink(p->drop_ins);
}

static void listen_repeats_and_an_empty_one_starts_again(void **state)
{
    const struct place *p = *state;
    AUTO_CONFIG struct gr_config *both =
        load_text(p, NAMED "[Dispatch]\nListen=127.0.0.1:1\nListen=unix:/a [::1]:2\n");
    assert_int_equal(both->n_listen, 3);
    assert_string_equal(both->listen[1], "unix:/a");
    assert_string_equal(both->listen[2], "[::1]:2");
    write_drop_in(p, "a.conf", "[Dispatch]\nListen=\nListen=127.0.0.1:3\n");
    AUTO_CONFIG struct gr_config *again = load(p, NULL, 0);
    assert_int_equal(again->n_listen, 1);
    assert_string_equal(again->listen[0], "127.0.0.1:3");
    write_file(p, NAMED "[Dispatch]\nListen=*:1 *:2 *:3 *:4 *:5 *:6 *:7 *:8\n");
    write_drop_in(p, "a.conf", "[Dispatch]\nListen=*:9\n");
    assert_refused(p, NULL, 0, p->drop_ins, "at most 8");
}

static void an_empty_assignment_takes_a_value_back(void **state)
{
    const struct place *p = *state;
    write_drop_in(p, "a.conf",
                  "[Etcd]\nUser=\n[Source]\nEtcd=\n[Admin]\nListen=\n[Service]\nStateDirectory=\n"
                  "Instance=\n");
    AUTO_CONFIG struct gr_config *c =
        load_text(p, NAMED "StateDirectory=/s\nInstance=i\n[Etcd]\nUser=u\n[Source]\n"
                           "Etcd=http://a:1 http://b:2\n[Admin]\nListen=127.0.0.1:1\n");
    assert_null(c->etcd_user);
    assert_int_equal(c->n_endpoints, 0);
    assert_null(c->admin_listen);
    assert_string_equal(c->state_dir, "/var/lib/grayling");
    assert_string_not_equal(c->instance.s, "i");
}

static void lines_continue_and_comments_are_skipped(void **state)
{
    const struct place *p = *state;
    AUTO_CONFIG struct gr_config *c =
        load_text(p, "# one\r\n ; two\n\n [Service] \r\n Name = order \r\n[Source]\n"
                     "Etcd=http://a:1 \\\n  https://b:2\\\n http://c:3\n[Dispatch]\nThreads=5");
    assert_string_equal(c->service.s, "order");
    assert_int_equal(c->n_endpoints, 3);
    assert_string_equal(c->endpoints[0], "http://a:1");
    assert_string_equal(c->endpoints[1], "https://b:2");
    assert_string_equal(c->endpoints[2], "http://c:3");
    assert_int_equal(c->threads, 5);
    assert_true(c->breaker.faults == 3 && c->breaker.window_usec == 60000000 &&
                c->breaker.backoff_usec == 5000000);
    assert_true(c->pool_threads == 8 && c->pool_queue == 64);
    assert_true(c->call_timeout_usec == 30000000 && c->call_grace_usec == 5000000);
}

static void a_later_list_of_endpoints_replaces_the_first(void **state)
{
    AUTO_CONFIG struct gr_config *c =
        load_text(*state, NAMED "[Source]\nEtcd=http://a:1 http://b:2\nEtcd=http://c:3\n");
    assert_int_equal(c->n_endpoints, 1);
    assert_string_equal(c->endpoints[0], "http://c:3");
}

static void refusals_name_file_and_line(void **state)
{
    const struct place *p = *state;
    static const struct {
        const char *text;
        unsigned line;
        const char *what;
    } cases[] = {
        {NAMED "[Dispatch]\nThread=1\n", 4, "did you mean 'Threads'?"},
        {NAMED "[Dispatch]\nlisten=x\n", 4, "did you mean 'Listen'?"},
        {NAMED "Whatever=1\n", 3, "unknown key 'Whatever' in [Service]"},
        {NAMED "[Dispach]\nThreads=1\n", 4, "unknown section [Dispach]"},
        {NAMED "[Dispatch\n", 3, "not a section"},
        {NAMED "[\n", 3, "not a section"},
        {NAMED "[A section's name of more than thirty-one bytes]\n", 3, "not a section"},
        {"Name=order\n", 1, "before any [Section]"},
        {NAMED "StateDirectory\n", 3, "not an assignment"},
        {NAMED "StateDirectory=var/lib\n", 3, "not an absolute path"},
        {"[Service]\nName=Order\n", 2, "not a name"},
        {"[Service]\nName=../etc\n", 2, "not a name"},
        {NAMED "[Source]\nEtcd=http://a:1 \\\nhttp://b:2\nX=1\n", 6, "unknown key"},
        {NAMED "[Dispatch]\nThreads=many\n", 4, "not a number"},
        {NAMED "[Dispatch]\nThreads=-1\n", 4, "not a number"},
        {NAMED "[Dispatch]\nThreads=65\n", 4, "up to 64"},
        {NAMED "[Dispatch]\nThreads=4x\n", 4, "up to 64"},
        {NAMED "[Dispatch]\nPoolThreads=0\n", 4, "1 at least"},
        {NAMED "[Dispatch]\nPoolThreads=33\n", 4, "up to 32"},
        {NAMED "[Dispatch]\nPoolQueue=1025\n", 4, "up to 1024"},
        {NAMED "[Dispatch]\nBreakerFaults=17\n", 4, "up to 16"},
        {NAMED "[Dispatch]\nBreakerWindow=0s\n", 4, "expected one like 60s"},
        {NAMED "[Dispatch]\nBreakerWindow=25h\n", 4, "up to 24h"},
        {NAMED "[Dispatch]\nBreakerBackoff=soon\n", 4, "expected one like 60s"},
        {NAMED "[Dispatch]\nCallGrace=0\n", 4, "expected one like 60s"},
        {NAMED "[Dispatch]\nCallTimeout=never\n", 4, "expected one like 60s"},
        {NAMED "[Dispatch]\nMemoryLimit=much\n", 4, "not a number"},
        {NAMED "[Dispatch]\nMemoryLimit=99999G\n", 4, "up to 17592186044416"},
        {NAMED "[Artifacts]\nMaxBytes=0\n", 4, "more than 0"},
        {NAMED "[Artifacts]\nMaxBytes=2G\n", 4, "up to 1073741824"},
        {NAMED "[Artifacts]\nMaxBytes=18446744073709551616\n", 4, "not a number"},
        {NAMED "[Artifacts]\nMaxBytes=17179869185G\n", 4, "up to 1073741824"}, // 1 GiB mod 2^64
        {NAMED "[Artifacts]\nMaxBytes=1KB\n", 4, "expected a number"},
        {NAMED "[Trust]\nSealedModules=maybe\n", 4, "neither yes nor no"},
        {NAMED "[Telemetry]\nEndpoint=localhost:4318\n", 4, "not a URL"},
        {NAMED "[Telemetry]\nEndpoint=http://\n", 4, "not a URL"},
        {NAMED "[Telemetry]\nEndpoint=http://:4318/\n", 4, "not a URL"},
        {NAMED "[Telemetry]\nEndpoint=http://u:p@host/\n", 4, "without user"},
        {NAMED "[Telemetry]\nEndpoint=http://host/?token=1\n", 4, "query"},
        {NAMED "[Telemetry]\nSampleRatio=1.000001\n", 4, "no ratio"},
        {NAMED "[Telemetry]\nSampleRatio=0.0000001\n", 4, "six decimals"},
        {NAMED "[Telemetry]\nSampleRatio=.5\n", 4, "no ratio"},
        {NAMED "[Telemetry]\nSampleRatio=-0\n", 4, "no ratio"},
        {NAMED "[Telemetry]\nSampleRatio=1%\n", 4, "no ratio"},
    };
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        char where[160];
        write_file(p, cases[i].text);
        snprintf(where, sizeof where, "%s:%u: ", p->file, cases[i].line);
        assert_refused(p, NULL, 0, where, cases[i].what);
    }
}

static void a_nul_byte_is_refused(void **state)
{
    const struct place *p = *state;
    static const char text[] = NAMED "[Etcd]\nUser=a\0b\n";
    write_bytes(p->file, text, sizeof text - 1);
    assert_refused(p, NULL, 0, p->file, "NUL");
}

static void sizes_and_switches_have_their_spellings(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {{"1", 1}, {"3K", 3072}, {"64M", 64u << 20}, {"1G", 1u << 30}};
    static const struct {
        const char *text;
        bool on;
    } switches[] = {{"yes", true}, {"On", true},   {"TRUE", true},   {"1", true},
                    {"no", false}, {"off", false}, {"False", false}, {"0", false}};
    char text[128];
    for (size_t i = 0; i < GR_COUNT(sizes); i++) {
        snprintf(text, sizeof text, NAMED "[Artifacts]\nMaxBytes=%s\n", sizes[i].text);
        AUTO_CONFIG struct gr_config *c = load_text(*state, text);
        assert_int_equal(c->max_bytes, sizes[i].bytes);
    }
    for (size_t i = 0; i < GR_COUNT(switches); i++) {
        snprintf(text, sizeof text, NAMED "[Trust]\nSealedModules=%s\nSealedModules=%s\n",
                 switches[i].on ? "no" : "yes", switches[i].text);
        AUTO_CONFIG struct gr_config *c = load_text(*state, text);
        assert_int_equal(c->sealed_modules, switches[i].on);
    }
}

static void sets_win_over_files(void **state)
{
    const struct place *p = *state;
    char *sets[] = {"Service.Name=auth", "Service.StateDirectory=here", "Etcd.User=a=b.c"};
    write_drop_in(p, "a.conf", "[Etcd]\nUser=drop-in\n");
    write_file(p, NAMED);
    AUTO_CONFIG struct gr_config *c = load(p, sets, GR_COUNT(sets));
    assert_string_equal(c->service.s, "auth");
    assert_string_equal(c->state_dir, "here"); // relative ones are taken as they are
    assert_string_equal(c->etcd_user, "a=b.c");
}

static void bad_sets_are_refused(void **state)
{
    const struct place *p = *state;
    static const struct {
        char *set;
        const char *what;
    } cases[] = {
        {"Service", "not SECTION.KEY=VALUE"},   {"Service.Name", "not SECTION.KEY=VALUE"},
        {"Name=a.b", "not SECTION.KEY=VALUE"},  {"", "not SECTION.KEY=VALUE"},
        {"Servce.Name=a", "unknown section"},   {"Service.Nam=a", "did you mean 'Name'?"},
        {"Dispatch.Threads=x", "not a number"},
    };
    write_file(p, NAMED);
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        char *set = cases[i].set;
        assert_refused(p, &set, 1, "--set: ", cases[i].what);
    }
}

static void the_name_is_required(void **state)
{
    const struct place *p = *state;
    write_file(p, "[Etcd]\nUser=u\n");
    assert_refused(p, NULL, 0, "[Service] Name is missing", "--set Service.Name=NAME");
    write_file(p, NAMED "Name=\n");
    assert_refused(p, NULL, 0, "[Service] Name is missing", "");
}

static void addresses_are_checked_where_they_stand(void **state)
{
    const struct place *p = *state;
    static const char *const endpoints[] = {"b:2",         "ftp://a:1",     "http://",
                                            "http://a:x",  "http://a:1/v3", "http://:1",
                                            "http://a:1?", "http://u@a:1",  "http://a:70000",
                                            "http://[::1", "https://[a]:1"},
                             *const listens[] = {"8080",        "a:1",   "127.0.0.1:",
                                                 "[::1:1",      "::1:1", "127.0.0.1:70000",
                                                 "unix:a",      "unix:", "1.2.3:1",
                                                 "127.0.0.1:1x"};
    char text[128], where[160];
    for (size_t i = 0; i < GR_COUNT(endpoints); i++) {
        snprintf(text, sizeof text, NAMED "[Source]\nEtcd=http://a:1 %s\n", endpoints[i]);
        write_file(p, text);
        snprintf(where, sizeof where, "%s:4: [Source] Etcd: '%s'", p->file, endpoints[i]);
        assert_refused(p, NULL, 0, where, "expected http://HOST:PORT");
    }
    for (size_t i = 0; i < GR_COUNT(listens); i++) {
        snprintf(text, sizeof text, NAMED "[%s]\nListen=%s\n", i % 2 ? "Admin" : "Dispatch",
                 listens[i]);
        write_file(p, text);
        snprintf(where, sizeof where, "%s:4: [", p->file);
        assert_refused(p, NULL, 0, where, "expected IPV4:PORT");
    }
    AUTO_CONFIG struct gr_config *c =
        load_text(p, NAMED "[Source]\nEtcd=http://a:1/ https://[::1]:2 http://c\n[Dispatch]\n"
                           "Listen=*:0 localhost:1 [::]:2 unix:/a\n");
    assert_int_equal(c->n_endpoints, 3);
    assert_int_equal(c->n_listen, 4);
}

static void schemes_and_roots_are_checked(void **state)
{
    const struct place *p = *state;
    write_file(p, NAMED "[Artifacts]\nAllowSchemes=https ftp\n");
    assert_refused(p, NULL, 0, p->file, "'ftp' is not a scheme");
    write_file(p, NAMED "[Artifacts]\nFileRoots=/a b\n");
    assert_refused(p, NULL, 0, p->file, "'b' is not an absolute path");
}

static void a_set_listen_begins_anew(void **state)
{
    const struct place *p = *state;
    char *sets[] = {"Dispatch.Listen=127.0.0.1:1", "Dispatch.Listen=127.0.0.1:2"};
    write_file(p, NAMED "[Dispatch]\nListen=127.0.0.1:8\nListen=127.0.0.1:9\n");
    AUTO_CONFIG struct gr_config *c = load(p, sets, GR_COUNT(sets));
    assert_int_equal(c->n_listen, 2);
    assert_string_equal(c->listen[0], "127.0.0.1:1");
    assert_string_equal(c->listen[1], "127.0.0.1:2");
}

static void comments_between_continued_lines_are_skipped(void **state)
{
    AUTO_CONFIG struct gr_config *c = load_text(
        *state, NAMED "[Source]\nEtcd=http://a:1 \\\n# not this \\\n;nor this\n http://b:2\n"
                      "[Etcd]\nUser=u\\ \n\n[Dispatch]\nThreads=3 \\");
    assert_int_equal(c->n_endpoints, 2);
    assert_string_equal(c->etcd_user, "u");
    assert_int_equal(c->threads, 3);
}

static void the_merge_tells_where_each_part_is_from(void **state)
{
    const struct place *p = *state;
    char *sets[] = {"Etcd.User=u"}, expected[512];
    write_drop_in(p, "10-a.conf", "[Dispatch]\nThreads=2\n");
    write_file(p, NAMED "StateDirectory=/s\n[Dispatch]\nListen=127.0.0.1:1\n");
    AUTO_CONFIG struct gr_config *c = load(p, sets, GR_COUNT(sets));
    GR_AUTO_FREE char *text = gr_config_format(c);
    snprintf(expected, sizeof expected, "[Service]\n# from %s\nName=order\n# from the defaults\n",
             p->file);
    assert_memory_equal(text, expected, strlen(expected));
    snprintf(expected, sizeof expected,
             "[Dispatch]\n# from %s\nListen=127.0.0.1:1\n# from %s/10-a.conf\nThreads=2\n", p->file,
             p->drop_ins);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "[Etcd]\n# from --set\nUser=u\n# from the defaults\n"));
}

static void credentials_are_found_in_their_directory(void **state)
{
    const struct place *p = *state;
    static const char text[] = NAMED "[Etcd]\nPasswordFile=pw\nCAFile=/ca\n[Trust]\nRootFile=root\n"
                                     "[Etcd]\nUser=name\n";
    AUTO_CONFIG struct gr_config *without = load_text(p, text);
    assert_string_equal(without->etcd_password_file, "pw");
    setenv("CREDENTIALS_DIRECTORY", "/run/credentials/g", 1);
    AUTO_CONFIG struct gr_config *with = load(p, NULL, 0);
    assert_string_equal(with->etcd_password_file, "/run/credentials/g/pw");
    assert_string_equal(with->etcd_ca_file, "/ca");
    assert_string_equal(with->trust_root_file, "/run/credentials/g/root");
    assert_string_equal(with->etcd_user, "name"); // no file
}

static void the_merge_as_printed_loads_as_the_same(void **state)
{
    const struct place *p = *state;
    AUTO_CONFIG struct gr_config *c =
        load_text(p, NAMED "Instance=i\n[Source]\nEtcd=http://a:1 http://b:2\n[Dispatch]\n"
                           "Listen=127.0.0.1:1\nListen=unix:/"
                           "a\nThreads=2\nMemoryLimit=3G\nAccessLog=yes\n[Admin]\nListen=\n"
                           "[Artifacts]\nMaxBytes=3K\n[Trust]\nSealedModules=yes\n"
                           "[Telemetry]\nEndpoint=https://c/v1/traces\nSampleRatio=0.000001\n");
    GR_AUTO_FREE char *once = gr_config_format(c);
    AUTO_CONFIG struct gr_config *again = load_text(p, once); // every key is from the file now
    GR_AUTO_FREE char *twice = gr_config_format(again);
    AUTO_CONFIG struct gr_config *third = load_text(p, twice);
    GR_AUTO_FREE char *thrice = gr_config_format(third);
    assert_string_equal(twice, thrice);
    assert_non_null(strstr(once, "\nMaxBytes=3072\n"));
    assert_non_null(strstr(once, "\nMemoryLimit=3221225472\n"));
    assert_non_null(strstr(once, "\nListen=127.0.0.1:1\nListen=unix:/a\n"));
    assert_non_null(strstr(once, "\nSampleRatio=0.000001\n"));
    assert_null(again->admin_listen);
    assert_true(again->sealed_modules && again->access_log);
    assert_int_equal(again->sample_ppm, 1);
    assert_string_equal(again->telemetry_endpoint, "https://c/v1/traces");

    AUTO_CONFIG struct gr_config *restored = NULL; // as another program reads it
    struct gr_error e = {0};
    assert_return_code(gr_config_restore("a daemon's", once, &restored, &e), 0);
    assert_null(restored->admin_listen);
    assert_int_equal(restored->n_listen, 2);
    assert_int_equal(restored->max_bytes, 3072);
    assert_string_equal(restored->endpoints[1], "http://b:2");
    AUTO_CONFIG struct gr_config *refused = NULL;
    assert_return_code(-gr_config_restore("a daemon's", "[Service]\nColour=red\n", &refused, &e),
                       0);
    assert_non_null(strstr(e.message, "a daemon's:2: "));
    assert_null(refused);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, enter_place, leave_place)
    const struct CMUnitTest tests[] = {
        T(a_name_suffices_and_the_rest_has_defaults),
        T(the_environment_gives_the_directories),
        T(the_environment_names_the_file),
        T(a_named_file_must_exist),
        T(drop_ins_win_in_the_order_of_their_names),
        T(a_bad_drop_in_is_named),
        T(drop_ins_that_cannot_be_read_are_not_ignored),
        T(listen_repeats_and_an_empty_one_starts_again),
        T(an_empty_assignment_takes_a_value_back),
        T(lines_continue_and_comments_are_skipped),
        T(a_later_list_of_endpoints_replaces_the_first),
        T(refusals_name_file_and_line),
        T(a_nul_byte_is_refused),
        T(sizes_and_switches_have_their_spellings),
        T(sets_win_over_files),
        T(bad_sets_are_refused),
        T(the_name_is_required),
        T(addresses_are_checked_where_they_stand),
        T(schemes_and_roots_are_checked),
        T(a_set_listen_begins_anew),
        T(comments_between_continued_lines_are_skipped),
        T(the_merge_tells_where_each_part_is_from),
        T(credentials_are_found_in_their_directory),
        T(the_merge_as_printed_loads_as_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
