/* Intrusive doubly linked list. A node is in one list at most; list_init makes a head or a detached
 * node. */
#ifndef CORE_LIST_H
#define CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct list {
    struct list *next, *prev;
};

/* Make a head empty, or a node detached. */
static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}

/* No elements; for a node: in no list. */
static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

/* Put a detached node last. */
static inline void list_push_back(struct list *list, struct list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

/* Put a detached node first. */
static inline void list_push_front(struct list *list, struct list *node)
{
    list_push_back(list->next, node);
}

/* Take a node out of its list, if it is in one; it is detached afterwards. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Take the first node out; NULL when empty. */
static inline struct list *list_pop_front(struct list *list)
{
    struct list *node = list->next;

    if (node == list)
        return NULL;
    list_remove(node);
    return node;
}

/* Move all nodes of `from` behind those of `list`. */
static inline void list_splice_back(struct list *list, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = list->prev;
    list->prev->next = from->next;
    from->prev->next = list;
    list->prev = from->prev;
    list_init(from);
}

/* Visit each node; the loop body may not remove nodes. */
#define list_for_each(node, list)                                                                  \
    for ((node) = (list)->next; (node) != (list); (node) = (node)->next)

/* Visit each node; the loop body may remove the visited node. */
#define list_for_each_safe(node, after, list)                                                      \
    for ((node) = (list)->next, (after) = (node)->next; (node) != (list);                          \
         (node) = (after), (after) = (node)->next)

#endif
