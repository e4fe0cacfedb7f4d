/* The operations of deskfarm-desktop; README.md beside this lists them with their fields. */
#pragma once

#include "images/agent/desktop/task.h"

extern const struct task_op desktop_ops[];
extern const size_t desktop_n_ops;

/* clipboard.c */
void clipboard_get(struct task *task);
void clipboard_set(struct task *task);
void clipboard_watch(struct task *task);
void clipboard_reads(struct task *task);
/* window.c, window-do.c */
void windows_list(struct task *task);
void window_do(struct task *task);
/* launch.c */
void launch_begin(struct task *task);
/* keyboard.c, typing.c */
void keyboard_get(struct task *task);
void keyboard_set(struct task *task);
void typing_begin(struct task *task);
/* keys.c */
void keys_begin(struct task *task);
/* screen.c */
void screen_get(struct task *task);
/* a11y-walk.c, a11y-node.c */
void a11y_tree(struct task *task);
void a11y_find(struct task *task);
void a11y_node(struct task *task);
