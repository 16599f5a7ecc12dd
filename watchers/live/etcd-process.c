// See etcd-process.h.
#include "watchers/live/etcd-process.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
// after its needs
#include <cmocka.h>

#define ETCD "/usr/bin/etcd"
#define ARGUMENTS_MAX 32

bool gr_test_etcd_is_installed(void)
{
    return access(ETCD, X_OK) == 0 && access("/usr/bin/etcdctl", X_OK) == 0;
}

static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

void gr_test_etcd_move(struct gr_test_etcd *e)
{
    snprintf(e->url, sizeof e->url, "%s://127.0.0.1:%u", e->tls ? "https" : "http", free_port());
}

void gr_test_etcd_init(struct gr_test_etcd *e, bool tls)
{
    *e = (struct gr_test_etcd){.dir = "/tmp/grayling-etcd-XXXXXX", .tls = tls};
    assert_non_null(mkdtemp(e->dir));
    snprintf(e->data, sizeof e->data, "%s/data", e->dir);
    gr_test_etcd_move(e);
    snprintf(e->peer_url, sizeof e->peer_url, "http://127.0.0.1:%u", free_port());
    if (tls)
        gr_test_etcd_make_certificates(e);
}

void gr_test_etcd_start(struct gr_test_etcd *e)
{
    char cluster[80], ca[96], cert[96], key[96];
    snprintf(cluster, sizeof cluster, "t=%s", e->peer_url);
    snprintf(ca, sizeof ca, "%s/ca.pem", e->dir);
    snprintf(cert, sizeof cert, "%s/server.pem", e->dir);
    snprintf(key, sizeof key, "%s/server.key", e->dir);
    char *argv[ARGUMENTS_MAX] = {ETCD,
                                 "--name",
                                 "t",
                                 "--data-dir",
                                 e->data,
                                 "--unsafe-no-fsync",
                                 "--log-level",
                                 "fatal",
                                 "--logger",
                                 "zap",
                                 "--listen-client-urls",
                                 e->url,
                                 "--advertise-client-urls",
                                 e->url,
                                 "--listen-peer-urls",
                                 e->peer_url,
                                 "--initial-advertise-peer-urls",
                                 e->peer_url,
                                 "--initial-cluster",
                                 cluster};
    size_t n = 20;
    char *tls[] = {
        "--client-cert-auth", "--trusted-ca-file", ca, "--cert-file", cert, "--key-file", key};
    for (size_t i = 0; e->tls && i < GR_COUNT(tls); i++)
        argv[n++] = tls[i];
    struct gr_error error = {0};
    if (gr_child_spawn(argv, NULL, NULL, 0, &e->child, &error) < 0)
        fail_msg("%s", error.message);
    e->runs = true;
}

static int wait_for(struct gr_child *c)
{
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED), 0);
    close(c->pidfd);
    return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

void gr_test_etcd_signal(struct gr_test_etcd *e, int signal)
{
    if (!e->runs)
        return;
    (void)syscall(SYS_pidfd_send_signal, e->child.pidfd, signal, NULL, 0);
    if (signal == SIGSTOP) { // its threads may go on until the last one has heard of it
        siginfo_t info;
        assert_int_equal(waitid(P_PIDFD, (id_t)e->child.pidfd, &info, WSTOPPED), 0);
    }
    if (signal != SIGKILL && signal != SIGTERM)
        return;
    (void)wait_for(&e->child);
    e->runs = false;
}

void gr_test_run(char *const argv[])
{
    struct gr_child child;
    struct gr_error e = {0};
    if (gr_child_spawn(argv, NULL, NULL, 0, &child, &e) < 0)
        fail_msg("%s", e.message);
    int status = wait_for(&child);
    if (status)
        fail_msg("%s %s: exit status %d", argv[0], argv[1] ? argv[1] : "", status);
}

void gr_test_etcd_done(struct gr_test_etcd *e)
{
    gr_test_etcd_signal(e, SIGKILL);
    if (e->dir[0])
        gr_test_run((char *[]){"/bin/rm", "-rf", e->dir, NULL});
    e->dir[0] = '\0';
}

void gr_test_etcdctl(const struct gr_test_etcd *e, const char *const *arguments)
{
    char ca[96], cert[96], key[96];
    snprintf(ca, sizeof ca, "--cacert=%s/ca.pem", e->dir);
    snprintf(cert, sizeof cert, "--cert=%s/client.pem", e->dir);
    snprintf(key, sizeof key, "--key=%s/client.key", e->dir);
    char *argv[ARGUMENTS_MAX] = {"/usr/bin/etcdctl", "--endpoints", (char *)e->url};
    size_t n = 3;
    if (e->tls) {
        argv[n++] = ca;
        argv[n++] = cert;
        argv[n++] = key;
    }
    for (; *arguments && n + 1 < ARGUMENTS_MAX; arguments++)
        argv[n++] = (char *)*arguments;
    gr_test_run(argv);
}

// One certificate signed by the test's own authority.
static void make_leaf(const struct gr_test_etcd *e, const char *name, const char *subject)
{
    char key[96], request[96], cert[96], ca[96], ca_key[96], extensions[96];
    snprintf(key, sizeof key, "%s/%s.key", e->dir, name);
    snprintf(request, sizeof request, "%s/%s.csr", e->dir, name);
    snprintf(cert, sizeof cert, "%s/%s.pem", e->dir, name);
    snprintf(ca, sizeof ca, "%s/ca.pem", e->dir);
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", e->dir);
    snprintf(extensions, sizeof extensions, "%s/extensions", e->dir);
    FILE *f = fopen(extensions, "we");
    assert_non_null(f);
    fputs("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n", f);
    assert_int_equal(fclose(f), 0);
    gr_test_run((char *[]){"/usr/bin/openssl", "req", "-newkey", "ec", "-pkeyopt",
                           "ec_paramgen_curve:P-256", "-nodes", "-batch", "-subj", (char *)subject,
                           "-keyout", key, "-out", request, NULL});
    gr_test_run((char *[]){"/usr/bin/openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey",
                           ca_key, "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out",
                           cert, NULL});
}

void gr_test_etcd_make_certificates(struct gr_test_etcd *e)
{
    char ca[96], ca_key[96];
    snprintf(ca, sizeof ca, "%s/ca.pem", e->dir);
    snprintf(ca_key, sizeof ca_key, "%s/ca.key", e->dir);
    gr_test_run((char *[]){"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                           "ec_paramgen_curve:P-256", "-nodes", "-batch", "-days", "2", "-subj",
                           "/O=Grayling test authority", "-keyout", ca_key, "-out", ca, NULL});
    make_leaf(e, "server", "/O=Grayling test/CN=server");
    make_leaf(e, "client", "/O=Grayling test");
}
