/* Reading a page of metrics. */
#ifndef TESTS_LIB_METRICS_TEXT_H
#define TESTS_LIB_METRICS_TEXT_H

/* The value of a series, as name{label="value"}; fails the test's process when it is not there. */
double metrics_text_value(const char *text, const char *series);
/* How many lines begin with these words. */
unsigned metrics_text_count(const char *text, const char *words);
/* Let promtool judge the page: fails the test's process unless it has nothing to say. */
void metrics_text_check(const char *text);

#endif
