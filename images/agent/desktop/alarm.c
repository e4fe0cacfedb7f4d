#include "images/agent/desktop/alarm.h"

#include "base/clock.h"

static struct list alarms = LIST_INIT(alarms);

void alarm_set(struct alarm *self, int64_t delay_us, void (*fn)(void *data), void *data)
{
    alarm_stop(self);
    self->at_us = clock_now_us() + delay_us;
    self->fn = fn;
    self->data = data;
    list_append(&alarms, &self->link);
}

void alarm_stop(struct alarm *self)
{
    list_remove(&self->link);
}

/* One at a time: what it does may stop or free any other. */
static struct alarm *find_due(int64_t now_us)
{
    struct alarm *alarm;
    list_for_each(alarm, &alarms, link)
        if (alarm->at_us <= now_us)
            return alarm;
    return NULL;
}

int64_t alarms_turn(void)
{
    struct alarm *alarm;
    int64_t now_us = clock_now_us(), first = -1;
    while ((alarm = find_due(now_us))) {
        alarm_stop(alarm);
        alarm->fn(alarm->data);
    }
    now_us = clock_now_us();
    list_for_each(alarm, &alarms, link)
        if (first < 0 || alarm->at_us - now_us < first)
            first = MAX(alarm->at_us - now_us, 0);
    return first;
}
