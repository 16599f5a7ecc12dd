// Owns the texts of grayling.conf(5), a key each; a test holds them equal to the keys that there
// are.
#include "control/config-doc.h"
#include "base/macros.h"

#define CREDENTIAL_VALUE "path; without a slash, a name in $CREDENTIALS_DIRECTORY"

static const struct gr_config_doc docs[] = {
    {"Service", "Name", "name", "(required)",
     "Name of the service; {service} in every key of etcd. a-z, 0-9, '.', '_' and '-', at most "
     "64."},
    {"Service", "Instance", "name", "(the host name, in lower case)",
     "Name of this host among those of the service."},
    {"Service", "StateDirectory", "absolute path", "/var/lib/grayling",
     "Journal, store and what else outlives a restart. $STATE_DIRECTORY, which systemd sets, is "
     "the "
     "default when it is there."},
    {"Service", "RuntimeDirectory", "absolute path", "/run/grayling",
     "The control socket, control.sock. $RUNTIME_DIRECTORY is the default when it is there."},
    {"Service", "StableAfter", "duration up to 1h", "10s",
     "A start whose worker has served for so long has succeeded. One that dies before counts "
     "against "
     "the candidate that was in play."},
    {"Source", "Etcd", "URLs, separated by spaces", "",
     "Endpoints of the etcd that holds the desired state. Empty: Directory is followed."},
    {"Source", "Directory", "absolute path", "/etc/grayling/modules.d",
     "Directory of MODULE.json documents, followed when Etcd is empty."},
    {"Etcd", "User", "text", "", "User that logs in to etcd. Empty: nobody logs in."},
    {"Etcd", "PasswordFile", CREDENTIAL_VALUE, "", "File that holds the password."},
    {"Etcd", "CAFile", CREDENTIAL_VALUE, "",
     "Certificates that etcd's is checked against. Empty: those of the system."},
    {"Etcd", "CertFile", CREDENTIAL_VALUE, "", "Client certificate."},
    {"Etcd", "KeyFile", CREDENTIAL_VALUE, "", "Its key."},
    {"Dispatch", "Listen", "IPV4:PORT, [IPV6]:PORT, *:PORT or unix:/PATH; may repeat",
     "127.0.0.1:8080",
     "Where requests come in. An empty value forgets those before. Sockets that systemd hands over "
     "win."},
    {"Dispatch", "Threads", "number up to 64", "(one per processor)",
     "Threads that run modules. 0: one per processor."},
    {"Dispatch", "CallTimeout", "duration, up to 24h", "30s",
     "How long a call may run whose method declares no deadline. 0: for ever."},
    {"Dispatch", "CallGrace", "duration over 0, up to 24h", "5s",
     "So much longer than its deadline a call may run before it is given up: its client is "
     "answered "
     "deadline_exceeded, and it counts as a fault."},
    {"Dispatch", "PoolThreads", "number from 1 up to 32", "8",
     "So many calls of one version with execution: pool run at once. All such versions together "
     "have 32 threads."},
    {"Dispatch", "PoolQueue", "number up to 1024", "64",
     "So many more of its calls wait for these threads; the next is answered resource_exhausted."},
    {"Dispatch", "BreakerFaults", "number up to 16", "3",
     "So many faults of a version within BreakerWindow open its breaker: its calls are answered "
     "unavailable. 0: never."},
    {"Dispatch", "BreakerWindow", "duration over 0, up to 24h", "1m", "How long a fault counts."},
    {"Dispatch", "BreakerBackoff", "duration over 0, up to 24h", "5s",
     "How long an open breaker refuses before it lets one call try. Doubles each time, up to 5m."},
    {"Dispatch", "MemoryLimit", "bytes; K, M and G are allowed", "0",
     "What the worker's resident memory is compared with, besides MemoryMax= of its unit and the "
     "limits of setrlimit(2). It is not enforced: above 90 % of the nearest limit, while modules "
     "fault, the worker is replaced. 0: the system's limits alone."},
    {"Dispatch", "AccessLog", "yes or no", "no",
     "One line in the log for each request: method, path without query, status, time to answer, "
     "who answered. Bodies and headers are never in it."},
    {"Admin", "Listen", "IPV4:PORT, [IPV6]:PORT, *:PORT or unix:/PATH", "127.0.0.1:9464",
     "Where metrics and the dashboard are served. Empty: nowhere."},
    {"Admin", "AllowHosts", "host names, separated by spaces", "",
     "Names by which browsers may reach it, beside addresses, localhost and the host's own name. "
     "/metrics and probes answer to any."},
    {"Admin", "TokenFile", CREDENTIAL_VALUE, "",
     "File with one line of 16 to 256 visible characters. Whoever has it may give orders there, as "
     "the dashboard does. SIGHUP reads the file anew. Empty: nobody may."},
    {"Artifacts", "AllowSchemes", "https, http, file, separated by spaces", "https file",
     "How artifacts may be fetched."},
    {"Artifacts", "AllowHosts", "host names, addresses and ranges, separated by spaces", "",
     "Whom artifacts may come from. Empty: any public address. Loopback, private and link-local "
     "addresses count only when they are named."},
    {"Artifacts", "FileRoots", "absolute paths, separated by spaces",
     "(incoming in StateDirectory)",
     "Directories below which file:// sources are taken; publish copies to the first."},
    {"Artifacts", "MaxBytes", "bytes; K, M and G are allowed", "67108864",
     "An artifact that is larger is refused as TooLarge."},
    {"Trust", "RootFile", CREDENTIAL_VALUE, "",
     "Keys that releases have to be signed with. Empty: the digest alone counts, so that whoever "
     "writes the desired state decides what runs."},
    {"Trust", "SealedModules", "yes or no", "no",
     "Map sealed memory instead of a file of the store. No race is left between check and load, "
     "and "
     "gdb, perf and core files do not find symbols."},
    {"Telemetry", "Endpoint", "URL", "",
     "Collector that spans of requests and rollouts are posted to, as OTLP/HTTP with JSON: "
     "http://127.0.0.1:4318/v1/traces. Empty: none are recorded."},
    {"Telemetry", "SampleRatio", "0 to 1, up to six decimals", "0.01",
     "Share of the traces that begin here which are recorded. Of a request that comes with a "
     "traceparent its sender has decided."},
};

const struct gr_config_doc *gr_config_doc(size_t i)
{
    return i < GR_COUNT(docs) ? &docs[i] : NULL;
}
