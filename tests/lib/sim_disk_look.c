/* Looking at the simulated disk's files, and damaging them, behind the product's back. */
#include "sim_disk.h"
#include "sim_disk_file.h"

static struct sim_file *sim_find(struct sim_disk *sim, const char *path, const char *name)
{
    return sim_dir_find(sim_dir_get(&sim->dirs, path), name);
}

const uint8_t *sim_disk_file(struct sim_disk *sim, const char *path, const char *name,
                             uint64_t *len)
{
    struct sim_file *file = sim_find(sim, path, name);

    if (file == NULL)
        return NULL;
    *len = file->cached.len;
    return file->cached.data;
}

bool sim_disk_flip_bit(struct sim_disk *sim, const char *path, const char *name, uint64_t bit)
{
    struct sim_file *file = sim_find(sim, path, name);

    if (file == NULL || bit / 8 >= file->cached.len)
        return false;
    file->cached.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (bit / 8 < file->durable.len)
        file->durable.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    return true;
}

bool sim_disk_truncate(struct sim_disk *sim, const char *path, const char *name, uint64_t len)
{
    struct sim_file *file = sim_find(sim, path, name);

    if (file == NULL || len > file->cached.len)
        return false;
    file->cached.len = len;
    if (file->durable.len > len)
        file->durable.len = len;
    return true;
}
