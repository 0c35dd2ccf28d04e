/* See temp_dir.h. */
#include "temp_dir.h"

#include <ftw.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/mem.h"

char *temp_dir_make(void)
{
    char *path = mem_strdup("/tmp/overhand-test-XXXXXX");

    ASSERT(mkdtemp(path) != NULL);
    return path;
}

static int temp_dir_remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    return remove(path);
}

static int temp_dir_remove_below(const char *path, const struct stat *info, int type,
                                 struct FTW *ftw)
{
    return ftw->level == 0 ? 0 : remove(path);
}

void temp_dir_remove_content(const char *path)
{
    ASSERT(nftw(path, temp_dir_remove_below, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

void temp_dir_remove(char *path)
{
    if (path == NULL)
        return;
    ASSERT(nftw(path, temp_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
    mem_free(path);
}
