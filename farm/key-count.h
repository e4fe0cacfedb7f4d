/* Asks the helper in a guest's desktop how many changes of keys its X server has taken. Not for web/. */
#pragma once

struct input;
struct sandbox;

/* The sandbox's input asks from here on; a guest without a helper is not asked again for a while. */
void key_count_init(struct sandbox *sandbox);
/* No answer comes any more. */
void key_count_stop(struct sandbox *sandbox);
