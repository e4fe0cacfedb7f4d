/* The QEMU guest agent as a backend: the facts of a guest, and freezing its file systems. */
#include "tests/unit/qga-guest.h"

TestSuite(qga_freeze, .init = host_start, .fini = host_stop, .timeout = 30);

Test(qga_freeze, tells_facts_and_leaves_out_what_the_guest_does)
{
    guest_become(INFO(COMMAND("guest-network-get-interfaces") "," COMMAND("guest-get-users") "," WITH_OS));
    guest_serve("guest-get-osinfo", NULL, "{\"return\": {\"id\": \"debian\", \"machine\": 7}}\n");
    host_wait_ready();
    host_begin(json_pack("{s:s}", "op", "facts"));
    guest_serve("guest-get-users", NULL, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n");
    guest_serve("guest-network-get-interfaces", NULL,
                "{\"return\": [{\"name\": \"eth0\", \"hardware-address\": \"52:54:00:12:34:56\", \"ip-addresses\": "
                "[{\"ip-address\": \"10.0.2.15\", \"ip-address-type\": \"ipv4\", \"prefix\": 24}]}, 7]}\n");
    host_finish();
    auto_buf struct buf text = BUF_INIT;
    json_write(host_run.result, &text);
    cr_assert(eq(str, text_of(&text),
                 "{\"agent\":\"qemu\",\"release\":\"7.2.0\",\"os\":{\"id\":\"debian\",\"name\":null,\"version\":null,"
                 "\"kernel\":null,\"machine\":null},\"hostname\":null,\"users\":null,\"interfaces\":[{\"name\":\"eth0\","
                 "\"mac\":\"52:54:00:12:34:56\",\"addresses\":[{\"address\":\"10.0.2.15\",\"prefix\":24}]},"
                 "{\"name\":null,\"mac\":null,\"addresses\":[]}]}"));
}

static void become_freezable(void)
{
    guest_become(INFO(WITH_FREEZE));
    guest_serve("guest-fsfreeze-status", NULL, "{\"return\": \"thawed\"}\n");
    host_wait_ready();
}

static void become_frozen(void)
{
    become_freezable();
    host_begin(json_pack("{s:s}", "op", "freeze"));
    guest_serve("guest-fsfreeze-freeze", NULL, "{\"return\": 2}\n");
    host_finish();
}

static int n_other;

static void handle_other(void *data maybe_unused, const json_t *result, const struct error *err maybe_unused)
{
    n_other += result ? 1 : 100;
}

Test(qga_freeze, lets_commands_wait_while_the_guest_is_frozen)
{
    static const struct agent_call_ops other = { .on_end = handle_other };
    become_frozen();
    expect(json_get_int(host_run.result, "count", 0), 2);
    agent_call_new(host.agent, json_pack("{s:s}", "op", "ping"), &other, NULL, TEST_LIMIT_US);
    host_turn();
    host_again();
    host_begin(json_pack("{s:s}", "op", "thaw"));
    guest_serve("guest-fsfreeze-thaw", NULL, "{\"return\": 2}\n"); /* guest_hear would fail on the ping */
    host_finish();
    guest_serve("guest-ping", NULL, "{\"return\": {}}\n");
    while (n_other == 0)
        host_turn();
    cr_assert(eq(int, n_other, 1));
}

Test(qga_freeze, thaws_what_it_was_told_to_forget)
{
    become_freezable();
    host_begin(json_pack("{s:s}", "op", "freeze"));
    json_decref(guest_hear("guest-fsfreeze-freeze"));
    host_run.call = agent_call_cancel(host_run.call);
    guest_say("{\"return\": 2}\n");
    guest_serve("guest-fsfreeze-thaw", NULL, "{\"return\": 2}\n");
    expect_ping();
}

Test(qga_freeze, thaws_though_who_asked_for_it_has_gone)
{
    become_frozen();
    host_begin(json_pack("{s:s}", "op", "thaw"));
    json_decref(guest_hear("guest-fsfreeze-thaw"));
    host_run.call = agent_call_cancel(host_run.call);
    guest_say("{\"return\": 2}\n");
    guest_serve("guest-fsfreeze-thaw", NULL, "{\"return\": 0}\n");
    expect_ping();
}

Test(qga_freeze, a_freeze_that_fails_leaves_nothing_waiting)
{
    become_freezable();
    host_begin(json_pack("{s:s}", "op", "freeze"));
    guest_serve("guest-fsfreeze-freeze", NULL, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"VSS\"}}\n");
    host_finish();
    cr_assert(eq(int, host_run.error.code, ERROR_GUEST_FAILED));
    expect_ping();
}

/* Out of a checkpoint that was taken while it was frozen. */
Test(qga_freeze, thaws_a_guest_that_is_found_frozen)
{
    guest_become(INFO(WITH_FREEZE));
    guest_serve("guest-fsfreeze-status", NULL, "{\"return\": \"frozen\"}\n");
    guest_serve("guest-fsfreeze-thaw", NULL, "{\"return\": 2}\n");
    cr_assert(eq(int, host.n_ready, 0));
    guest_serve("guest-info", NULL, INFO(WITH_FREEZE));
    host_wait_ready();
}
