/* A second directory of a disk under test whose files hang when they are opened: pipes without a
 * writer. io_uring opens these at once; the limit is disk.c's, whatever is behind it. */
#ifndef TESTS_LIB_HUNG_DIR_H
#define TESTS_LIB_HUNG_DIR_H

#include "disk_fixture.h"

enum { HUNG_DIR_FILES = 5 };

struct hung_dir {
    char path[80];
    struct disk_dir dir;
    struct disk_file files[HUNG_DIR_FILES];
    struct disk_fixture_op opens[HUNG_DIR_FILES];
};

/* Make it, and begin to open all of its files. */
void hung_dir_begin(struct disk_fixture *f, struct hung_dir *hung);
/* Let them end, and remove it. */
void hung_dir_end(struct disk_fixture *f, struct hung_dir *hung);

#endif
