// A module.yaml out of the services of a .proto file, as protoc describes them
// (google/protobuf/descriptor.proto). Pure: bytes in, text out.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include "base/name.h"

#define GR_PROTO_DESCRIPTION_MAX (4u << 20) // of one file, with its comments
#define GR_PROTO_YAML_MAX (64u * 1024)      // the contract compiler reads no more

struct gr_proto_outcome {
    size_t n_interfaces, n_methods;
};
// Appends the contract of `module` to *yaml. `set` is a FileDescriptorSet of one file, with source
// information when comments are to be kept; `file` is its name for the text and for complaints.
// Fails: -EINVAL/DocumentInvalid with a sentence that names file and method: no package, no
// service, a streaming method, names and numbers above what a contract holds; -EBADMSG: not a
// description; -E2BIG, -ENOMEM. *yaml is to be thrown away then.
GR_MUST_CHECK int gr_contract_from_proto(const char *file, const struct gr_name *module,
                                         const void *set, size_t len, struct gr_buf *yaml,
                                         struct gr_proto_outcome *ret, struct gr_error *e);
