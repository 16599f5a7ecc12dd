// What the dynamic loader really mapped: its text, its notes, its file. Reads /proc/self/maps; runs
// nothing of the module.
#include "dispatch/internal.h"
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

// --- program headers ---------------------------------------------------------------------------

struct search {
    uint64_t base;
    const void *dynamic;
    struct gr_image *image;
    int code;
    struct gr_error *error;
};

static void read_text(const struct dl_phdr_info *info, const ElfW(Phdr) * ph,
                      struct gr_image *image)
{
    uint64_t start = info->dlpi_addr + ph->p_vaddr, end = start + ph->p_memsz;
    if (image->text_start == 0 || start < image->text_start)
        image->text_start = start;
    if (end > image->text_end)
        image->text_end = end;
}

static int read_notes(const struct dl_phdr_info *info, const ElfW(Phdr) * ph, struct search *s)
{
    const void *notes = (const void *)(info->dlpi_addr + ph->p_vaddr);
    const uint8_t *id;
    const char *json;
    size_t len;
    if (gr_contract_find_build_id(notes, ph->p_memsz, &id, &len) == 0)
        for (size_t i = 0; i < len && 2 * i + 2 < sizeof(s->image->build_id); i++)
            snprintf(s->image->build_id + 2 * i, 3, "%02x", id[i]);
    if (!s->image->contract && gr_contract_find_note(notes, ph->p_memsz, &json, &len) == 0)
        return gr_contract_parse(json, len, &s->image->contract, s->error);
    return 0;
}

static bool has_dynamic(const struct dl_phdr_info *info, const void *dynamic)
{
    for (unsigned i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            return (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr) == dynamic;
    return false;
}

static int visit(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    struct search *s = arg;
    if (info->dlpi_addr != s->base || !has_dynamic(info, s->dynamic))
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum && s->code == 0; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type == PT_LOAD && (ph->p_flags & PF_X))
            read_text(info, ph, s->image);
        if (ph->p_type == PT_NOTE)
            s->code = read_notes(info, ph, s);
    }
    return 1;
}

int gr_image_read(void *handle, const char *path, struct gr_image *ret, struct gr_error *e)
{
    struct link_map *map;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) < 0)
        return gr_error_set(e, -ENOEXEC, GR_REASON_LOAD_FAILED,
                            "asked to load %s, but the loader lost it: %s", path, dlerror());
    *ret = (struct gr_image){.base = map->l_addr};
    struct search s = {.base = map->l_addr, .dynamic = map->l_ld, .image = ret, .error = e};
    if (dl_iterate_phdr(visit, &s) != 1)
        return gr_error_set(
            e, -ENOEXEC, GR_REASON_LOAD_FAILED,
            "asked to load %s, but its program headers are not among the mapped objects", path);
    if (s.code < 0)
        gr_error_wrap(e, "asked to load %s", path);
    return s.code;
}

// --- identity ----------------------------------------------------------------------------------

struct identity {
    unsigned major, minor;
    uint64_t inode;
};

static int mapped_at(uint64_t address, struct identity *ret)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return -errno;
    char line[4096 + 128];
    int r = -ENOENT;
    while (r < 0 && fgets(line, sizeof(line), maps)) {
        unsigned long long start, end, inode;
        unsigned major, minor;
        if (sscanf(line, "%llx-%llx %*s %*x %x:%x %llu", &start, &end, &major, &minor, &inode) ==
                5 &&
            address >= start && address < end) {
            *ret = (struct identity){major, minor, inode};
            r = 0;
        }
    }
    fclose(maps);
    return r;
}

// Overlayfs maps the file of a lower layer and btrfs shows an anonymous device in stat: there the
// numbers of maps and stat differ for one and the same file, and the path is asked instead. The
// build-id is compared in any case.
static bool numbers_differ_by_nature(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 &&
           (fs.f_type == OVERLAYFS_SUPER_MAGIC || fs.f_type == BTRFS_SUPER_MAGIC);
}

int gr_image_same_file(uint64_t address, int fd, const char *path, struct gr_error *e)
{
    struct stat want, now;
    struct identity got;
    if (fstat(fd, &want) < 0)
        return gr_error_set(e, -errno, GR_REASON_LOAD_FAILED,
                            "asked to compare %s with the verified file: fstat: %m", path);
    int r = mapped_at(address, &got);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_LOAD_FAILED,
                            "asked to compare what was mapped from %s, but /proc/self/maps does "
                            "not tell: mount /proc",
                            path);
    if (got.inode == want.st_ino && got.major == major(want.st_dev) &&
        got.minor == minor(want.st_dev))
        return 0;
    // overlayfs shows the mapping under the device of the layer below
    bool by_nature = got.inode == want.st_ino || numbers_differ_by_nature(fd);
    if (by_nature && stat(path, &now) == 0 && now.st_dev == want.st_dev &&
        now.st_ino == want.st_ino)
        return 0;
    return gr_error_set(e, -ESTALE, GR_REASON_LOAD_FAILED,
                        "asked to load %s, but another file was mapped: verified is inode %llu on "
                        "%u:%u, mapped is inode %llu "
                        "on %u:%u; the loader finds libraries by path and inode, so give each "
                        "artifact a path of its own",
                        path, (unsigned long long)want.st_ino, major(want.st_dev),
                        minor(want.st_dev), (unsigned long long)got.inode, got.major, got.minor);
}
