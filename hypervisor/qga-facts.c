/* What the QEMU guest agent knows of its guest, and how it is made to write nothing for a while.
 *
 * Facts are asked for one after the other; one that the guest does not tell is left out. They are the
 * guest's words: of the right types, cut to what is asked for, and otherwise unchecked.
 *
 * Freezing. Between freeze and thaw the agent refuses everything else, so qga.c lets commands wait.
 * Linux freezes until it is thawed; Windows (VSS) thaws by itself after 10 s, and then thawing fails:
 * who froze must not take the time between for still. */
#include "hypervisor/qga-call.h"

#include "base/clock.h"

#include <string.h>

#define LIST_MAX 64 /* interfaces, users, addresses of an interface */

/* --- Facts ------------------------------------------------------------------------------------ */

static json_t *text_or_null(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_string(value) ? json_incref(value) : json_null();
}

static json_t *os_json(const json_t *os)
{
    return os ? json_pack("{s:o, s:o, s:o, s:o, s:o}", "id", text_or_null(os, "id"), "name",
                          text_or_null(os, "pretty-name"), "version", text_or_null(os, "version"), "kernel",
                          text_or_null(os, "kernel-release"), "machine", text_or_null(os, "machine"))
              : json_null();
}

static json_t *addresses_json(const json_t *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < MIN(json_array_size(list), (size_t)LIST_MAX); i++) {
        const json_t *it = json_array_get(list, i);
        json_array_append_new(out, json_pack("{s:o, s:I}", "address", text_or_null(it, "ip-address"), "prefix",
                                             (json_int_t)json_get_int(it, "prefix", 0)));
    }
    return out;
}

static json_t *interface_json(const json_t *it)
{
    return json_pack("{s:o, s:o, s:o}", "name", text_or_null(it, "name"), "mac",
                     text_or_null(it, "hardware-address"), "addresses",
                     addresses_json(json_object_get(it, "ip-addresses")));
}

static json_t *user_json(const json_t *it)
{
    double since_s = json_number_value(json_object_get(it, "login-time"));
    bool is_time = since_s > 0 && since_s < 1e10;
    return json_pack("{s:o, s:o, s:o}", "name", text_or_null(it, "user"), "domain", text_or_null(it, "domain"),
                     "since_us", is_time ? json_integer((json_int_t)(since_s * 1e6)) : json_null());
}

static json_t *list_json(const json_t *list, json_t *(*one)(const json_t *it))
{
    json_t *out = json_array();
    for (size_t i = 0; i < MIN(json_array_size(list), (size_t)LIST_MAX); i++)
        json_array_append_new(out, one(json_array_get(list, i)));
    return out;
}

static void take_name(json_t *facts, const json_t *ret)
{
    json_object_set_new(facts, "hostname", text_or_null(ret, "host-name"));
}

static void take_users(json_t *facts, const json_t *ret)
{
    json_object_set_new(facts, "users", list_json(ret, user_json));
}

static void take_interfaces(json_t *facts, const json_t *ret)
{
    json_object_set_new(facts, "interfaces", list_json(ret, interface_json));
}

static const struct {
    const char *command;
    void (*take)(json_t *facts, const json_t *ret);
} questions[] = {
    { "guest-get-host-name", take_name },
    { "guest-get-users", take_users },
    { "guest-network-get-interfaces", take_interfaces },
};

static void ask_next(struct qga_call *self);

static void handle_fact(struct qga_call *self, const json_t *ret, const struct error *err maybe_unused)
{
    self->is_asking = false;
    if (ret)
        questions[self->n_done].take(self->facts, ret);
    self->n_done++;
    ask_next(self);
}

static void ask_next(struct qga_call *self)
{
    while ((size_t)self->n_done < ARRAY_LEN(questions) &&
           !qga_has_command(self->qga, questions[self->n_done].command))
        self->n_done++;
    if ((size_t)self->n_done < ARRAY_LEN(questions)) {
        qga_call_ask(self, questions[self->n_done].command, NULL, handle_fact);
        return;
    }
    self->result = json_incref(self->facts);
    qga_call_deliver(self);
}

void qga_facts_begin(struct qga_call *self)
{
    self->facts = json_pack("{s:s, s:s, s:o, s:n, s:n, s:n}", "agent", "qemu", "release", self->qga->release, "os",
                            os_json(self->qga->os), "hostname", "users", "interfaces");
    if (self->facts)
        ask_next(self);
    else
        qga_call_fail(self, ERROR_GUEST_FAILED, "the guest's agent told something that is no text");
}

/* --- Freezing --------------------------------------------------------------------------------- */

static void handle_frozen(struct qga_call *self, const json_t *ret, const struct error *err)
{
    self->wants_thaw = false;
    if (err)
        self->qga->is_frozen = false;
    if (!qga_call_take(self, err))
        return;
    self->result = json_pack("{s:I}", "count", (json_int_t)(json_is_integer(ret) ? json_integer_value(ret) : 0));
    qga_call_deliver(self);
}

/* Ahead of what waits: that would not be answered any more. */
void qga_freeze_begin(struct qga_call *self)
{
    if (self->qga->is_frozen) {
        qga_call_fail(self, ERROR_BUSY, "the guest's file systems are being frozen already");
        return;
    }
    self->qga->is_frozen = self->wants_thaw = true;
    qga_call_ask(self, "guest-fsfreeze-freeze", NULL, handle_frozen);
}

static void handle_thawed(struct qga_call *self, const json_t *ret, const struct error *err)
{
    self->qga->is_frozen = self->wants_thaw = false;
    if (err) /* what it is now is seen at the beginning of a session */
        self->qga->wants_session = true;
    if (!qga_call_take(self, err))
        return;
    self->result = json_pack("{s:I}", "count", (json_int_t)(json_is_integer(ret) ? json_integer_value(ret) : 0));
    qga_call_deliver(self);
}

void qga_thaw_begin(struct qga_call *self)
{
    self->qga->is_frozen = self->wants_thaw = true; /* also when its caller goes */
    qga_call_ask(self, "guest-fsfreeze-thaw", NULL, handle_thawed);
}
