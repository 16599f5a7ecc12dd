// Hooks of state in the process of an isolated version: the same guard as in the worker, and the
// state goes through a parcel.
#include "dispatch/afar.h"
#include "dispatch/internal.h"

struct hook {
    struct gr_instance *instance;
    struct grayling_state state;
};

static int32_t call_export(void *arg)
{
    struct hook *h = arg;
    return h->instance->block->export_state(h->instance->self, &h->state);
}

static int32_t call_import(void *arg)
{
    const struct hook *h = arg;
    return h->instance->block->import_state(h->instance->self, &h->state);
}

static int32_t call_release(void *arg)
{
    const struct hook *h = arg;
    h->state.release(h->state.owner, h->state.bytes.data, h->state.bytes.size);
    return GRAYLING_OK;
}

static void run(struct hook *k, const char *name, int32_t (*fn)(void *), struct gr_state_hook *h)
{
    if (!gr_hook_run(k->instance, name, fn, k, &h->code, h->what))
        h->end = GR_HOOK_CRASHED;
    else
        h->end = h->code == GRAYLING_OK ? GR_HOOK_DONE : GR_HOOK_CODE;
}

static void export(struct gr_instance *i, struct gr_state_hook *h)
{
    struct hook k = {i,
                     {.struct_size = sizeof(k.state),
                      .schema = (uint32_t)i->contract->state_schema,
                      .memory = -1}};
    run(&k, "export_state", call_export, h);
    if (h->end != GR_HOOK_DONE)
        return;
    if (gr_carry_pack(i, &k.state, h->fd, &h->label, h->what) < 0)
        h->end = GR_HOOK_WRONG;
    if (!k.state.release)
        return;
    struct gr_state_hook released = {0};
    run(&k, "release", call_release, &released);
    if (h->end == GR_HOOK_DONE && released.end == GR_HOOK_CRASHED) {
        h->end = GR_HOOK_RELEASE_CRASHED;
        memcpy(h->what, released.what, sizeof(h->what));
    }
}

// A memory object is read-only for as long as the importer could write to what the exporter goes on
// with, were they in one process: the same mistake shows here too.
static void import(struct gr_instance *i, struct gr_state_hook *h)
{
    struct gr_carried c;
    if (gr_carry_unpack(i, h->fd, &h->label, &c, h->what) < 0) {
        h->end = GR_HOOK_WRONG;
        return;
    }
    struct hook k = {i, c.state};
    if (c.memory)
        (void)!gr_memory_protect(c.memory, false);
    run(&k, "import_state", call_import, h);
    if (c.memory)
        (void)!gr_memory_protect(c.memory, true);
    gr_carry_done(i, &c, h->end != GR_HOOK_CODE); // of a crash: nobody knows
}

void gr_afar_hook(struct gr_instance *i, struct gr_state_hook *h)
{
    h->code = GRAYLING_OK;
    h->what[0] = 0;
    if (!i->contract->has_state) { // the worker asks those only that have it
        h->end = GR_HOOK_CODE;
        h->code = GRAYLING_UNIMPLEMENTED;
    } else if (h->import) {
        import(i, h);
    } else {
        export(i, h);
    }
}
