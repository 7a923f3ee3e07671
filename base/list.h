/* SPDX-License-Identifier: GPL-3.0-or-later */
/* list: an intrusive doubly linked ring. The caller locks. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define LIST_INIT(l)                                                                                                   \
	{                                                                                                              \
		&(l), &(l)                                                                                             \
	}
#define list_entry(ptr, type, member)  container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_for_each(it, head)	       for (struct list *it = (head)->next; it != (head); it = it->next)
/* the current element may be removed in the body */
#define list_for_each_safe(it, head)                                                                                   \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head); it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}
static inline void list_insert(struct list *at, struct list *item)
{
	item->next = at->next;
	item->prev = at;
	at->next->prev = item;
	at->next = item;
}
/* list_push: at the head; list_append: at the tail. */
static inline void list_push(struct list *head, struct list *item)
{
	list_insert(head, item);
}
static inline void list_append(struct list *head, struct list *item)
{
	list_insert(head->prev, item);
}
/* list_remove: takes the item out and leaves it an empty ring, so that removing it twice is harmless. */
static inline void list_remove(struct list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}
/* list_splice: moves all of from to the tail of to; from is empty afterwards. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#endif
