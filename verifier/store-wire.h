// What the supervisor and grayling-store agree on.
#pragma once
#define GR_STORE_FD_BYTES 3
#define GR_STORE_FD_DIRECTORY 4
