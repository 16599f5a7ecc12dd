// What a member of a batch is told when the batch failed: pure text.
#pragma once
#include "state/journal.h"

// The sentence for one member of a row: its own; else, when the row was refused or taken back
// because of another member, that nothing was found wrong with this one, who failed, and the way
// out; else the row's. Borrowed from the row or from buf.
const char *gr_rollout_row_sentence(const struct gr_rollout_row *row, size_t member,
                                    char buf[GR_MESSAGE_MAX]);
