// What a module declares about itself, read from the ELF note .note.grayling (JSON) without running
// it. Lives in base because the verifier (before loading) and dispatch (after loading) must read it
// alike.
#pragma once
#include "base/error.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/range.h"
#include "base/version.h"
#include <stdint.h>

#define GR_NOTE_OWNER "Grayling" // ELF note name; 9 bytes with its NUL
#define GR_NOTE_TYPE_CONTRACT 1

#define GR_INTERFACE_MAX 127 // "com.example.pay.PayService"
#define GR_METHOD_MAX 63
#define GR_TYPE_MAX 127 // "com.example.pay.ChargeRequest"
#define GR_CODEC_MAX 63 // "json", "json,proto"

struct gr_contract_method {
    char name[GR_METHOD_MAX + 1];
    char input[GR_TYPE_MAX + 1], output[GR_TYPE_MAX + 1]; // message types; "": none declared
    char codec[GR_CODEC_MAX + 1]; // what it takes, joined by commas; "": any payload
    uint64_t deadline_usec;       // 0: none
    bool idempotent;
};
struct gr_contract_interface {
    char name[GR_INTERFACE_MAX + 1];
    struct gr_version version;
    size_t n_methods;
    struct gr_contract_method *methods;
};
struct gr_contract_need { // requires / optional; the range as written is range.text
    char interface[GR_INTERFACE_MAX + 1];
    struct gr_range range;
};
struct gr_contract {
    struct gr_name module;
    struct gr_version version;
    unsigned abi_major, abi_minor;
    size_t n_provides;
    struct gr_contract_interface *provides;
    size_t n_requires, n_optional;
    struct gr_contract_need *requires, *optional;
    bool upgrade_lock;            // only changes together with others
    struct gr_name upgrade_group; // ... with those of this group; "" when upgrade_lock is no text
    bool execution_pool;          // execution: pool
    bool isolation_process;       // isolation: process
    bool has_state;               // state declared
    uint64_t state_schema;        // what export_state() writes
    size_t n_imports;             // ... and which others import_state() reads too
    uint64_t *imports;
    double sla_error_rate; // < 0: none declared
    uint64_t sla_p99_usec; // 0: none
    char *json;            // the note's own bytes, NUL-terminated, for inspect
};
// Methods keep the order of the note: their index over all interfaces is the module's number for
// them. Owns: *ret by caller (gr_contract_free). Fails: -EINVAL/NotAModule (malformed); whether the
// ABI fits is the caller's to judge.
GR_MUST_CHECK int gr_contract_parse(const char *json, size_t len, struct gr_contract **ret,
                                    struct gr_error *e);
void gr_contract_free(struct gr_contract *c);
static inline void gr_contract_freep(struct gr_contract **c)
{
    gr_contract_free(*c);
}
// Finds the contract note in a PT_NOTE segment's bytes (align 4). Borrowed pointer into `notes`;
// one NUL at the end is not counted. Fails: -ENOENT; -EINVAL for a length that leaves the segment,
// or a second contract.
GR_MUST_CHECK int gr_contract_find_note(const void *notes, size_t len, const char **ret_json,
                                        size_t *ret_len);
// Whether one of the notes is of this owner ("Go"). Malformed notes: false; the two finders say so.
bool gr_contract_has_owner(const void *notes, size_t len, const char *owner);
// Finds the GNU build-id (NT_GNU_BUILD_ID). Fails: -ENOENT, -EINVAL.
GR_MUST_CHECK int gr_contract_find_build_id(const void *notes, size_t len, const uint8_t **ret,
                                            size_t *ret_len);
