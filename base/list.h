/* Intrusive doubly linked list. A list is a head node that points at itself when empty.
 * list_for_each_safe survives removal of the current entry only. */
#pragma once

#include "base/util.h"

struct list {
    struct list *prev, *next;
};

#define LIST_INIT(head) { &(head), &(head) }

static inline void list_init(struct list *head)
{
    head->prev = head->next = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Removing a node that is not on a list (initialised, or removed before) is harmless. */
static inline void list_remove(struct list *node)
{
    if (!node->next)
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)

#define list_for_each(it, head, member)                                                            \
    for (it = list_entry((head)->next, __typeof__(*it), member); &it->member != (head);            \
         it = list_entry(it->member.next, __typeof__(*it), member))

#define list_for_each_safe(it, tmp, head, member)                                                  \
    for (it = list_entry((head)->next, __typeof__(*it), member),                                   \
        tmp = list_entry(it->member.next, __typeof__(*it), member);                                \
         &it->member != (head);                                                                    \
         it = tmp, tmp = list_entry(it->member.next, __typeof__(*it), member))
