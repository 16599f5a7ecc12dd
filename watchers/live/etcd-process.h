// A real etcd of the test's own: free ports, a temporary directory, killed with the test.
#pragma once
#include "base/child.h"
#include <stdbool.h>

struct gr_test_etcd {
    char dir[64];  // everything of it; "" after done
    char data[96]; // --data-dir, may be exchanged while it is down
    char url[64], peer_url[64];
    bool tls; // needs gr_test_etcd_make_certificates()
    struct gr_child child;
    bool runs;
};
// True when etcd is installed; a test without it is skipped.
bool gr_test_etcd_is_installed(void);
void gr_test_etcd_init(struct gr_test_etcd *e, bool tls);
// Another client port at the next start.
void gr_test_etcd_move(struct gr_test_etcd *e);
void gr_test_etcd_start(struct gr_test_etcd *e);
// SIGKILL and SIGTERM wait for the end, SIGSTOP until it stands still; SIGCONT returns at once.
void gr_test_etcd_signal(struct gr_test_etcd *e, int signal);
void gr_test_etcd_done(struct gr_test_etcd *e);
// dir/ca.pem, dir/server.{pem,key}, dir/client.{pem,key} (no CN: FACTS-ETCD, trap 17)
void gr_test_etcd_make_certificates(struct gr_test_etcd *e);
// Runs a program to its end; fails the test when its status is not 0.
void gr_test_run(char *const argv[]);
// etcdctl with the endpoint and, where TLS is on, the certificates; NULL-terminated arguments.
void gr_test_etcdctl(const struct gr_test_etcd *e, const char *const *arguments);
