// State of an instance of this process into a parcel and out of one; and a hook of state as it is
// asked of another process.
#pragma once
#include "dispatch/parcel.h"

struct gr_instance;
struct gr_memory;

#define GR_CARRY_WHY_MAX 160

// What export_state() of `from` gave into the parcel. Fails: `why` ends the sentence
// "export_state() ...".
GR_MUST_CHECK int gr_carry_pack(struct gr_instance *from, const struct grayling_state *given,
                                int fd, struct gr_parcel_label *ret, char why[GR_CARRY_WHY_MAX]);
// Before anybody looks into a parcel. Fails as above.
GR_MUST_CHECK int gr_carry_seal(int fd, char why[GR_CARRY_WHY_MAX]);

struct gr_carried {
    struct grayling_state state; // for import_state()
    struct grayling_bytes view;
    struct gr_memory *memory; // `to` holds it, with a copy; NULL: the state is in `view`
};
// Out of a sealed parcel, in the form in which it was exported. Fails as above; nothing is held.
GR_MUST_CHECK int gr_carry_unpack(struct gr_instance *to, int fd, const struct gr_parcel_label *l,
                                  struct gr_carried *ret, char why[GR_CARRY_WHY_MAX]);
// import_state() has returned, or will not be called. Not taken over: `to` lets go of the object.
void gr_carry_done(struct gr_instance *to, struct gr_carried *c, bool taken_over);

enum gr_hook_end {
    GR_HOOK_DONE,
    GR_HOOK_CODE,            // it returned `code`
    GR_HOOK_CRASHED,         // `what` says where; its process goes on
    GR_HOOK_RELEASE_CRASHED, // the release function of what it exported did
    GR_HOOK_WRONG,           // `what` it exported cannot be carried
    GR_HOOK_ENDS,
};
struct gr_state_hook { // one call of export_state() or import_state() in another process
    bool import;
    int fd;                       // the parcel: to be filled, or sealed; the asker's
    struct gr_parcel_label label; // import: what it holds; export: what it was given
    enum gr_hook_end end;
    int32_t code;
    char what[GR_CARRY_WHY_MAX];
};
