/* The intrusive list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/list.h"

struct item {
    int number;
    struct list node;
};

/* The list's numbers as one decimal number: 1, 2, 3 -> 123. */
static int list_digits(const struct list *list)
{
    const struct list *node;
    int digits = 0;

    list_for_each(node, list)
        digits = digits * 10 + container_of(node, struct item, node)->number;
    return digits;
}

static void items_fill(struct item items[4], struct list *list)
{
    list_init(list);
    for (int i = 0; i < 4; i++) {
        items[i].number = i + 1;
        list_init(&items[i].node);
        list_push_back(list, &items[i].node);
    }
}

static void test_nodes_stay_in_the_order_they_were_pushed(void **state)
{
    struct item items[4], first = {.number = 9};
    struct list list;

    items_fill(items, &list);
    assert_int_equal(list_digits(&list), 1234);
    list_push_front(&list, &first.node);
    assert_int_equal(list_digits(&list), 91234);
    assert_ptr_equal(list_pop_front(&list), &first.node);
    assert_true(list_empty(&first.node));
}

static void test_removing_is_harmless_when_detached(void **state)
{
    struct item items[4];
    struct list list;

    items_fill(items, &list);
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    assert_int_equal(list_digits(&list), 134);
    assert_true(list_empty(&items[1].node));
    while (list_pop_front(&list) != NULL)
        ;
    assert_true(list_empty(&list));
    assert_null(list_pop_front(&list));
}

static void test_a_splice_moves_everything_behind(void **state)
{
    struct item items[4], others[4];
    struct list list, more;

    items_fill(items, &list);
    items_fill(others, &more);
    list_splice_back(&list, &more);
    assert_int_equal(list_digits(&list), 12341234);
    assert_true(list_empty(&more));
    list_splice_back(&list, &more);
    list_splice_back(&more, &list);
    assert_int_equal(list_digits(&more), 12341234);
    assert_true(list_empty(&list));
}

static void test_the_visited_node_may_be_removed(void **state)
{
    struct item items[4];
    struct list list, *node, *after;

    items_fill(items, &list);
    list_for_each_safe(node, after, &list) {
        if (container_of(node, struct item, node)->number % 2 == 0)
            list_remove(node);
    }
    assert_int_equal(list_digits(&list), 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes_stay_in_the_order_they_were_pushed),
        cmocka_unit_test(test_removing_is_harmless_when_detached),
        cmocka_unit_test(test_a_splice_moves_everything_behind),
        cmocka_unit_test(test_the_visited_node_may_be_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
