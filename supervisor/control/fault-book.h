// What the supervisor knows of the faults of each version, across the workers in which they
// happened: how many of which kind, the evidence of the last one, and the breaker that the next
// worker begins with. Owns nothing but memory; tells nobody.
#pragma once
#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/name.h"
#include "base/version.h"
#include "dispatch/stats.h"

// What ended one call, or one worker, as it is shown.
struct gr_fault_note {
    struct gr_wall at;
    char kind[12];   // a fault's name, or "death": it took the worker along
    char signal[16]; // "SIGSEGV"; "" none
    char address[24];
    char detail[160]; // the assertion that failed, or what was called
    char method[256], request_id[40];
    char build_id[81];
    size_t n_frames;
    char frames[GR_EVIDENCE_FRAMES][96]; // "pay-1.2.0-0123456789abcdef.so+0x12f", innermost first
};

// CallTimeout for a call that was given up, else Crashed.
enum gr_reason gr_fault_note_reason(const struct gr_fault_note *n);

struct gr_fault_record { // of one version
    struct gr_name module;
    struct gr_digest digest;
    char version[GR_VERSION_MAX + 1];
    uint64_t n[GR_FAULT_KINDS]; // contained ones
    uint64_t deaths;            // of workers, that are blamed on it
    struct gr_fault_note last;
    struct gr_breaker breaker;
};

struct gr_fault_book; // the records, newest fault first
GR_MUST_CHECK int gr_fault_book_new(struct gr_fault_book **ret);
void gr_fault_book_free(struct gr_fault_book *b);
// The version's record, moved to the front; made when there is none, in place of the one whose
// fault is longest ago when the book is full.
struct gr_fault_record *gr_fault_book_open(struct gr_fault_book *b, const struct gr_name *module,
                                           const struct gr_digest *digest, const char *version);
// NULL: it never faulted.
struct gr_fault_record *gr_fault_book_find(const struct gr_fault_book *b,
                                           const struct gr_name *module,
                                           const struct gr_digest *digest);
// Of whichever version of the module faulted last; NULL: none.
const struct gr_fault_record *gr_fault_book_newest(const struct gr_fault_book *b,
                                                   const struct gr_name *module);
