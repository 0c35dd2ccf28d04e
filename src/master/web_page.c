/* The page's bytes lie in the program's read-only data: the assembler takes them from the file, whose
 * path CMakeLists.txt gives. */
#include "master/web_page.h"

#include <string.h>

#include "core/mem.h"

enum { PAGE_OK = 200 };

__asm__(".pushsection .rodata\n"
        "web_page_begin:\n"
        ".incbin \"" WEB_PAGE_FILE "\"\n"
        "web_page_end:\n"
        ".popsection\n");

extern const char web_page_begin[], web_page_end[];

void web_page(struct http_answer *answer)
{
    size_t len = (size_t)(web_page_end - web_page_begin);
    char *text = mem_alloc(len);

    memcpy(text, web_page_begin, len);
    http_answer_finish(answer, PAGE_OK, "text/html; charset=utf-8", text, len);
}
