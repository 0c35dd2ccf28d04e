/* Temporary directories of tests. */
#ifndef TEMP_DIR_H
#define TEMP_DIR_H

/* A new empty directory. Owns: its path is the caller's: temp_dir_remove. */
char *temp_dir_make(void);
/* Remove all that is in a directory. */
void temp_dir_remove_content(const char *path);
/* Remove it with all that is in it, and free its path. NULL is fine. */
void temp_dir_remove(char *path);

#endif
