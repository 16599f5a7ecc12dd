// What an instance that serves one module says on its standard error, line by line, as its author
// wants to read it. Pure.
#pragma once
#include "base/error.h"

enum gr_run_kind {
    GR_RUN_QUIET,   // of no interest here
    GR_RUN_REQUEST, // a request was answered
    GR_RUN_SERVES,  // what was asked for serves
    GR_RUN_REFUSED, // it was refused or taken back
    GR_RUN_SAYS,    // the module, a library in it, or the instance says something
};
struct gr_run_line {
    enum gr_run_kind kind;
    char text[GR_MESSAGE_MAX + 256]; // one line without its end; "": QUIET
};
// `line`: without its end; any bytes. What is no log line is what somebody printed.
void gr_run_line_read(const char *line, size_t len, struct gr_run_line *ret);
