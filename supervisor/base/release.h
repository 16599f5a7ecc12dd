// Which release of Grayling this is. Only one object file holds it, so that another version of the
// same tree costs one compilation.
#pragma once
extern const char gr_release[]; // "1.2.3"
