// One SOCK_SEQPACKET channel between supervisor and worker: one JSON object a message, descriptors
// beside it.
//
// Supervisor to worker ("id" is echoed in the answer; one answer each):
//   {"type":"hello","service","instance","threads":N,
//    "listeners":[{"address":"127.0.0.1:8080","kind":"tcp|unix"}...],"adoptable":bool,
//    "breaker":{"faults":N,"window_usec":N,"backoff_usec":N},
//    "sample":N}        of 2^32 traces that begin here; absent: no spans are recorded
//             + fds [stats, harm budgets, listener..., where a successor connects if adoptable]
//       -> {"type":"hello-ok","pid":N}                         nothing is accepted yet
//   {"type":"load","id","instance":SLOT,"module","version","digest","path","build_id",
//    "config":{...}|null}                                              + fds [store file]
//       -> {"type":"loaded","id","instance":SLOT,"load_usec":N}
//        | {"type":"failed","id","reason","message","retryable"}
//   {"type":"swap"|"route","id","table":N,"budget_usec":N,
//    "set":[{"module","stable":SLOT|-1,"rescue":SLOT|-1,"candidate":SLOT|-1,"rollout":N,
//            "harm":NUMBER|-1,"batch":N,"one_way":bool}...],
//    "remove":["module"...],
//    "rollouts":[{"rollout":N,"salt":"16 hex digits","weight":0..10000,"shadow":0..10000,
//                 "sticky":"header:x-user-id","match":[...],"shadow_ignore":["$.at"...]}...]}
//       -> {"type":"swapped","id","table":N,"freeze_usec":N,"parked":N,
//           "handed":N,"handover_usec":N,"state_bytes":N}        modules whose state changed hands
//        | {"type":"failed",...}                               the old table is in force
//       A set item replaces what the table says of its module; the rollout of a candidate must be
//       described. swap closes gates, waits for calls in flight and hands state over, in the order
//       of "set"; route does none of it. one_way: state that cannot be handed over may be lost.
//       harm is the budget of the version on trial: of the candidate, else of stable.
//   {"type":"unload","id","instance":SLOT}
//       -> {"type":"unloaded","id","instance":SLOT,"pinned":bool}
//   {"type":"serve","id"}                                      starts accepting
//       -> {"type":"serving","id"}
//   {"type":"freeze","id","modules":[...],"for_usec":N}
//       -> {"type":"frozen","id"}
//   {"type":"thaw","id","modules":[...]}
//       -> {"type":"thawed","id"}
//   {"type":"drain","id","limit_usec":N}                       then the worker exits 0
//       -> {"type":"drained","id","remaining":N}
//   {"type":"profile","id","hz":N,"usec":N} + fds [file for the text]  see worker/profile.h
//       -> {"type":"profiled","id","bytes":N}                  at the end
//   {"type":"describe","id"}            for a supervisor that finds an orphan
//       -> {"type":"description","id","pid","table",
//           "modules":[{"module","version","digest","slot":SLOT|-1,"rescue":SLOT|-1,
//                       "candidate":{"version","digest","slot","rollout"}}...]}
//         + fds [listener..., harm budgets]
// Worker to supervisor, unasked:
//   {"type":"fault","instance":SLOT,"apart":N,"kind":"signal|abort|assert|exit|timeout","signal":"SIGSEGV"|"",
//    "address":"0x0","detail":"exit(3)","interface","method","request_id",
//    "frames":["pay-1.2.0-….so+0x12f"...],"build_id"}
//       apart is the process of its own in which it happened; 0: the worker, which is replaced then
//   {"type":"process","instance":SLOT,"pid":N}  an isolated version has this process; 0: none now
//   {"type":"unfit","why"}                      the worker is to be replaced
//   {"type":"breaker","instance":SLOT,"state":"open|closed","faults":N,"left_usec":N}
//   {"type":"spans","lost":N,"spans":[{"trace","span","parent","began_usec","took_usec","code",
//    "module","version","candidate","rescued","interface","method","request_id"}...]}
//   {"type":"harm","rollout":N,"module"}       the last bad answer of a budget was given
// SLOT is the index of the version in the statistics segment, chosen by the supervisor, unique
// while loaded.
#pragma once
#include "base/json.h"

// A pair of connected SOCK_SEQPACKET|CLOEXEC|NONBLOCK sockets with large buffers.
GR_MUST_CHECK int gr_channel_pair(int ret_fds[2]);
// Fails: -EAGAIN (peer's queue is full), -EMSGSIZE over the cap, -EPIPE.
GR_MUST_CHECK int gr_channel_send(int fd, const cJSON *message, const int *fds, size_t n_fds);
// 1: a message (*ret owned by the caller; *ret_n descriptors with CLOEXEC in ret_fds, caller
// closes); 0: peer is gone; -EAGAIN: none now; -EBADMSG: malformed or truncated (descriptors
// closed). At most GR_CHANNEL_FDS_MAX descriptors.
GR_MUST_CHECK int gr_channel_recv(int fd, cJSON **ret, int *ret_fds, size_t *ret_n);
