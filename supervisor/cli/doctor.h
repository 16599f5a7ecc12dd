// What doctor's checks share: each adds lines, none stops the others.
#pragma once
#include "base/clock.h"
#include "cli/cli.h"
#include <sys/types.h>

enum gr_health { GR_HEALTH_OK, GR_HEALTH_WARN, GR_HEALTH_FAIL };
struct gr_doctor {
    struct gr_cli *cli;
    cJSON *lines; // {"state","check","message"}
    enum gr_health worst;
    uid_t service; // who the state directory belongs to; root is trusted too
};
// A sentence that for warn and fail ends with what to do.
void gr_doctor_add(struct gr_doctor *d, enum gr_health state, const char *check, const char *format,
                   ...) GR_PRINTF(4, 5);
void gr_doctor_check_host(struct gr_doctor *d); // kernel, sandbox, clock: doctor-host.c
// How many files the worker may have open; 0: there is none, and this process is looked at.
void gr_doctor_check_files(struct gr_doctor *d, pid_t worker);
// The store below this directory: whose it is, and whether each file is what its name says. Reads
// them whole. doctor-store.c
void gr_doctor_check_store(struct gr_doctor *d, const char *state_dir);
// The programs of this installation, of one release: doctor-programs.c. Starts each with --version.
void gr_doctor_check_programs(struct gr_doctor *d);
void gr_doctor_check_service(
    struct gr_doctor *d); // configuration, directories, daemon, source: doctor-service.c

// Files of [Etcd] and [Trust], certificates as of `now`: doctor-secrets.c
void gr_doctor_check_secrets(struct gr_doctor *d, const struct gr_config *c, struct gr_wall now);
void gr_doctor_check_certificate(struct gr_doctor *d, const char *check, const char *path,
                                 struct gr_wall now);
// False: it added a line of what is wrong. `secret`: others may not read it. Nobody but root and
// d->service may own it, since an owner can change it.
bool gr_doctor_check_file(struct gr_doctor *d, const char *check, const char *path, bool secret);
// This clock against the one of whoever sent an answer with this head (its Date, whole seconds). No
// line where there is no date.
void gr_doctor_check_offset(struct gr_doctor *d, const char *head, struct gr_wall now);
