// Whether a file with such facts may become a module: one rule after another, the cheap and certain
// ones first. Every rule answers a trap that was measured; docs/VERIFICATION.md tells which.
#include "verifier/elf-policy.h"
#include <elf.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <grayling/module.h>
#include <stdio.h>
#include <string.h>

#define NO_MODULE(e, ...) gr_error_set(e, -ENOEXEC, GR_REASON_NOT_A_MODULE, __VA_ARGS__)
#define NO_LOAD(e, ...) gr_error_set(e, -ENOEXEC, GR_REASON_LOAD_FAILED, __VA_ARGS__)

// What a module may be linked with: the C library's parts and the compilers' run-time libraries.
static const char *const LIBRARIES[] = {
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libstdc++.so.6",
    "libmvec.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
};

// What a module must not call, because it would end or bend the host. `abort` and `__assert_fail`
// are absent: dispatch contains them.
static const char *const DENIED_IMPORTS[] = {
    "exit",          "_exit",         "_Exit",         "quick_exit",  "on_exit",
    "at_quick_exit", "pthread_exit",  "thrd_exit",     "fork",        "vfork",
    "_Fork",         "clone",         "clone3",        "daemon",      "system",
    "popen",         "wordexp",       "execl",         "execle",      "execlp",
    "execv",         "execve",        "execveat",      "execvp",      "execvpe",
    "fexecve",       "posix_spawn",   "posix_spawnp",  "signal",      "bsd_signal",
    "sysv_signal",   "__sysv_signal", "sigaction",     "__sigaction", "sigaltstack",
    "sigset",        "siginterrupt",  "sigvec",        "setitimer",   "alarm",
    "ualarm",        "dlopen",        "dlmopen",       "dlclose",     "__libc_dlopen_mode",
    "setuid",        "seteuid",       "setreuid",      "setresuid",   "setgid",
    "setegid",       "setregid",      "setresgid",     "setgroups",   "initgroups",
    "setfsuid",      "setfsgid",      "capset",        "prctl",       "ptrace",
    "personality",   "chdir",         "fchdir",        "chroot",      "pivot_root",
    "mount",         "umount",        "umount2",       "unshare",     "setns",
    "umask",         "setrlimit",     "setrlimit64",   "prlimit",     "prlimit64",
    "setpriority",   "nice",          "setsid",        "setpgid",     "reboot",
    "init_module",   "finit_module",  "delete_module", "mlockall",    "munlockall",
    "closefrom",     "close_range",   "setlocale",     "setenv",      "putenv",
    "unsetenv",      "clearenv",
};

// Of those, what the threads of a language's library call for themselves (Rust's std::thread). In a
// process of its own a module reaches nobody else by them.
static const char *const THREAD_IMPORTS[] = {"sigaltstack", "prctl"};

// And what cgo links into every Go library: its runtime takes signals, and package syscall
// can change identity and environment.
static const char *const GO_IMPORTS[] = {
    "sigaction", "setenv", "unsetenv", "setuid",   "seteuid",   "setreuid",
    "setresuid", "setgid", "setegid",  "setregid", "setresgid", "setgroups",
};

struct gr_elf_host gr_elf_host_here(void)
{
    return (struct gr_elf_host){.machine = gr_elf_host_machine(), .glibc = gnu_get_libc_version()};
}

static bool listed(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

static int judge_kind(const struct gr_elf_facts *f, const struct gr_elf_host *host,
                      struct gr_error *e)
{
    char a[24], b[24];
    if (!f->is_elf)
        return NO_MODULE(e, "the file is no ELF file; expected a shared library built with "
                            "grayling_add_module()");
    if (f->elf_class != ELFCLASS64 || f->data != ELFDATA2LSB)
        return gr_error_set(e, -ENOEXEC, GR_REASON_ABI_INCOMPATIBLE,
                            "the file is %s and this host is 64-bit little-endian; build it for %s",
                            gr_elf_class_name(f->elf_class, f->data),
                            gr_elf_machine_name(host->machine, b));
    if (f->machine != host->machine && f->machine)
        return gr_error_set(e, -ENOEXEC, GR_REASON_ABI_INCOMPATIBLE,
                            "the file is for %s and this host is %s; build it for %s",
                            gr_elf_machine_name(f->machine, a),
                            gr_elf_machine_name(host->machine, b),
                            gr_elf_machine_name(host->machine, b));
    if (f->defect)
        return NO_MODULE(e,
                         "the file is an ELF file, but %s; publish the whole file as the linker "
                         "wrote it",
                         f->defect);
    if (f->osabi != ELFOSABI_SYSV && f->osabi != ELFOSABI_GNU)
        return NO_MODULE(e,
                         "the file is for operating system ABI %u and this host takes 0 (System "
                         "V) and 3 (GNU); build it for Linux",
                         f->osabi);
    if (f->type != ET_DYN || f->has_interpreter || !f->has_dynamic)
        return NO_MODULE(e,
                         "the file is %s and not a shared library; link it with -shared, as "
                         "grayling_add_module() does",
                         f->type == ET_REL    ? "an object file"
                         : f->type == ET_CORE ? "a core dump"
                                              : "a program");
    return 0;
}

// A Go runtime never leaves a process, and two of them fight for its signals.
static int judge_language(const struct gr_elf_facts *f, bool isolated, struct gr_error *e)
{
    if (!f->go_runtime || isolated)
        return 0;
    return gr_error_set(e, -ENOEXEC, GR_REASON_ABI_INCOMPATIBLE,
                        "the module is written in Go and its contract says isolation: worker; the "
                        "Go runtime cannot be unloaded and takes over signals, so that expected is "
                        "isolation: process; write that into module.yaml and build it again");
}

// Things that a linker option or a declaration brought in, each with the way to get rid of it.
static int judge_flags(const struct gr_elf_facts *f, struct gr_error *e)
{
    const struct {
        bool bad;
        const char *what, *remedy;
    } rules[] = {
        {f->exec_stack, "wants an executable stack",
         "link with -z noexecstack and mark assembler files with .note.GNU-stack"},
        {f->text_relocations, "relocates its own code (TEXTREL)", "compile all of it with -fPIC"},
        {f->write_and_exec, "has a segment that is writable and executable",
         "link without -N and without such sections"},
        {f->rpath || f->runpath, "carries a library search path (RPATH or RUNPATH)",
         "link without -rpath"},
        {f->nodelete && !f->go_runtime, "cannot be unloaded (NODELETE)",
         "link without -z nodelete"},
        {f->global, "puts its symbols before everybody's (GLOBAL)", "link without -z global"},
        {f->initfirst, "wants to be initialised before everybody (INITFIRST)",
         "link without -z initfirst"},
        {f->noopen, "refuses to be loaded at run time (NOOPEN)", "link without -z nodlopen"},
        {f->filter, "stands in for another library (FILTER or AUXILIARY)",
         "link without -F and -f"},
        {f->audit, "names an audit library (AUDIT)", "link without --audit and --depaudit"},
        {f->static_tls && f->has_tls && !f->go_runtime,
         "takes space of the host's static TLS that never comes back",
         "compile without -ftls-model=initial-exec"},
        {f->gnu_unique, "exports unique symbols (GNU_UNIQUE) that live on after unloading",
         "compile with -fno-gnu-unique or hide them with a version script"},
        {f->ifunc, "has indirect functions (IFUNC), whose resolvers run while it is being loaded",
         "remove target_clones and ifunc attributes"},
        {f->foreign_relocation, "has relocations that no shared library needs",
         "link it with -shared"},
        {f->glibc_private, "uses private parts of the C library (GLIBC_PRIVATE)",
         "use the public functions"},
    };
    for (size_t i = 0; i < GR_COUNT(rules); i++)
        if (rules[i].bad)
            return NO_LOAD(e, "the module %s, which no module may; %s", rules[i].what,
                           rules[i].remedy);
    return 0;
}

static unsigned long glibc_number(const char *text)
{
    unsigned major = 0, minor = 0;
    (void)!sscanf(text, "%5u.%5u", &major, &minor);
    return major * 100000ul + minor;
}

static bool is_denied(const struct gr_elf_facts *f, const char *import, bool isolated)
{
    bool excused = (isolated && listed(import, THREAD_IMPORTS, GR_COUNT(THREAD_IMPORTS))) ||
                   (f->go_runtime && listed(import, GO_IMPORTS, GR_COUNT(GO_IMPORTS)));
    return !excused && listed(import, DENIED_IMPORTS, GR_COUNT(DENIED_IMPORTS));
}

static int judge_needs(const struct gr_elf_facts *f, const struct gr_elf_host *host, bool isolated,
                       struct gr_error *e)
{
    for (size_t i = 0; i < f->n_needed; i++)
        if (!listed(f->needed[i], LIBRARIES, GR_COUNT(LIBRARIES)))
            return NO_LOAD(e,
                           "the module needs the library \"%.100s\", and modules may need only "
                           "libc, libm, libgcc_s, libstdc++ and their parts; link \"%.100s\" "
                           "into the module statically",
                           f->needed[i], f->needed[i]);
    for (size_t i = 0; i < f->n_imports; i++)
        if (is_denied(f, f->imports[i], isolated))
            return NO_LOAD(e,
                           "the module calls %s(), which would end or change the process that "
                           "it shares with others; remove the call or return an error code",
                           f->imports[i]);
    if (f->glibc && glibc_number(f->glibc + strlen("GLIBC_")) > glibc_number(host->glibc))
        return gr_error_set(e, -ENOEXEC, GR_REASON_DEPENDENCY_MISSING,
                            "the module needs the C library's version %.40s and this host has "
                            "%s; build the module on a system as old as the oldest host",
                            f->glibc + strlen("GLIBC_"), host->glibc);
    return 0;
}

static int judge_module(const struct gr_elf_facts *f, struct gr_error *e)
{
    if (!f->contract)
        return NO_MODULE(e,
                         "the file is a shared library%s%.100s%s without a contract note "
                         "(.note.grayling); build it with grayling_add_module()",
                         f->soname ? " (" : "", f->soname ? f->soname : "", f->soname ? ")" : "");
    if (!f->has_entry)
        return NO_MODULE(e,
                         "the file has a contract note but exports no function "
                         "grayling_module_entry(); define it and export it with GRAYLING_EXPORT");
    if (!f->build_id)
        return NO_LOAD(e, "the module has no build-id, so that what got loaded could not be "
                          "recognised; link it with --build-id");
    return 0;
}

bool gr_elf_policy_admits(const struct gr_elf_facts *f, const struct gr_elf_host *host,
                          bool isolated, struct gr_error *verdict)
{
    return judge_kind(f, host, verdict) == 0 && judge_module(f, verdict) == 0 &&
           judge_language(f, isolated, verdict) == 0 && judge_flags(f, verdict) == 0 &&
           judge_needs(f, host, isolated, verdict) == 0;
}

// A file that is none is told before a contract that cannot be read.
int gr_elf_policy_read(const struct gr_elf_facts *f, const struct gr_elf_host *host,
                       struct gr_contract **ret, struct gr_error *e)
{
    GR_CLEANUP(gr_contract_freep) struct gr_contract *c = NULL;
    struct gr_error unreadable = {0};
    int r = f->contract ? gr_contract_parse(f->contract, f->contract_len, &c, &unreadable) : 0;
    if (!gr_elf_policy_admits(f, host, c && c->isolation_process, e))
        return -ENOEXEC;
    if (r < 0) {
        if (e)
            *e = unreadable;
        return r;
    }
    *ret = gr_steal(c);
    return 0;
}

bool gr_contract_policy_admits(const struct gr_contract *c, const struct gr_name *module,
                               const struct gr_version *version, struct gr_error *verdict)
{
    if (c->abi_major != GRAYLING_ABI_MAJOR) {
        gr_error_set(verdict, -ENOEXEC, GR_REASON_ABI_INCOMPATIBLE,
                     "the module is built for module ABI %u.%u and this host offers %u.%u; build "
                     "it with the headers of this host",
                     c->abi_major, c->abi_minor, GRAYLING_ABI_MAJOR, GRAYLING_ABI_MINOR);
        return false;
    }
    bool other_name = module && !gr_name_equal(&c->module, module);
    bool other_version = version && strcmp(c->version.text, version->text) != 0;
    if (other_name || other_version) {
        gr_error_set(verdict, -ENOEXEC, GR_REASON_CONTRACT_INCOMPATIBLE,
                     "the document asks for module %s %s and the bytes are %s %s; correct the "
                     "document or publish the right file",
                     module ? module->s : c->module.s, version ? version->text : c->version.text,
                     c->module.s, c->version.text);
        return false;
    }
    return true;
}
