// Are the files in order that the configuration names for etcd, trust and the admin address: there,
// not open to others, certificates neither expired nor about to.
#include "cli/doctor.h"
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOON_DAYS 21 // long enough to renew one over a holiday

void gr_doctor_check_certificate(struct gr_doctor *d, const char *check, const char *path,
                                 struct gr_wall now)
{
    FILE *f = fopen(path, "re");
    X509 *one = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    time_t at = (time_t)(now.usec / (int64_t)GR_USEC_PER_SEC);
    ASN1_TIME *today = ASN1_TIME_set(NULL, at);
    int days = 0, seconds = 0;
    if (f)
        fclose(f);
    if (!one || !today || !ASN1_TIME_diff(&days, &seconds, today, X509_get0_notAfter(one)))
        gr_doctor_add(d, GR_HEALTH_FAIL, check,
                      "%s holds no certificate in PEM: install the right file", path);
    else if (X509_cmp_time(X509_get0_notBefore(one), &at) > 0)
        gr_doctor_add(d, GR_HEALTH_FAIL, check, "%s is not valid yet: set the clock, or wait",
                      path);
    else if (days < 0)
        gr_doctor_add(d, GR_HEALTH_FAIL, check,
                      "%s expired %d days ago: renew it, then systemctl restart grayling", path,
                      -days);
    else if (seconds < 0)
        gr_doctor_add(d, GR_HEALTH_FAIL, check,
                      "%s expired in the last 24 hours: renew it, then systemctl restart grayling",
                      path);
    else if (days < SOON_DAYS)
        gr_doctor_add(d, GR_HEALTH_WARN, check,
                      "%s expires in %d days: renew it, then systemctl restart grayling", path,
                      days);
    else
        gr_doctor_add(d, GR_HEALTH_OK, check, "%s is valid for another %d days", path, days);
    ASN1_TIME_free(today);
    X509_free(one);
}

bool gr_doctor_check_file(struct gr_doctor *d, const char *check, const char *path, bool secret)
{
    struct stat st;
    if (stat(path, &st) < 0 || access(path, R_OK) < 0) {
        gr_doctor_add(d, GR_HEALTH_FAIL, check,
                      "%s: %s; install it, readable by the service's user", path, strerror(errno));
        return false;
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH) || (secret && st.st_mode & S_IROTH)) {
        gr_doctor_add(d, GR_HEALTH_FAIL, check, "%s can be %s by others: chmod %s", path,
                      st.st_mode & (S_IWGRP | S_IWOTH) ? "written" : "read",
                      secret ? "0600" : "0644");
        return false;
    }
    if (st.st_uid != 0 && st.st_uid != d->service) {
        gr_doctor_add(d, GR_HEALTH_FAIL, check,
                      "%s belongs to uid %u, who can change it; expected root or uid %u, the "
                      "service's: chown %u %s",
                      path, (unsigned)st.st_uid, (unsigned)d->service, (unsigned)d->service, path);
        return false;
    }
    return true;
}

void gr_doctor_check_secrets(struct gr_doctor *d, const struct gr_config *c, struct gr_wall now)
{
    const struct {
        const char *check, *path;
        bool secret, certificate;
    } files[] = {{"etcd password", c->etcd_password_file, true, false},
                 {"etcd CA", c->etcd_ca_file, false, true},
                 {"etcd certificate", c->etcd_cert_file, false, true},
                 {"etcd key", c->etcd_key_file, true, false},
                 {"admin token", c->admin_token_file, true, false},
                 {"trust root", c->trust_root_file, false, false}};
    for (size_t i = 0; i < GR_COUNT(files); i++) {
        if (!files[i].path ||
            !gr_doctor_check_file(d, files[i].check, files[i].path, files[i].secret))
            continue;
        if (files[i].certificate)
            gr_doctor_check_certificate(d, files[i].check, files[i].path, now);
        else
            gr_doctor_add(d, GR_HEALTH_OK, files[i].check, "%s", files[i].path);
    }
}
