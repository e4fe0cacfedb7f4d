/* deskfarmd: parse, build, run, tear down. */
#define LOG_MODULE "daemon"
#include "base/log.h"
#include "base/process.h"
#include "base/loop.h"
#include "base/worker.h"
#include "daemon/config.h"
#include "farm/farm.h"
#include "web/web.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct daemon {
    struct config config;
    struct loop loop;
    struct worker_pool *pool;
    struct farm *farm;
    struct web *web;
    uv_signal_t signals[2];
    bool is_stopping;
};

static void handle_stopped(void *data)
{
    struct daemon *self = data;
    loop_stop(&self->loop);
}

static void handle_signal(uv_signal_t *signal, int signo)
{
    struct daemon *self = signal->data;
    if (self->is_stopping) {
        log_warn("second signal: leaving at once");
        loop_stop(&self->loop);
        return;
    }
    self->is_stopping = true;
    if (self->config.stop_guests) {
        log_info("%s: ending all guests", signo == SIGINT ? "SIGINT" : "SIGTERM");
        farm_stop_all(self->farm, handle_stopped, self);
    } else {
        log_info("%s: leaving; guests go on", signo == SIGINT ? "SIGINT" : "SIGTERM");
        loop_stop(&self->loop);
    }
}

static void watch_signals(struct daemon *self)
{
    static const int numbers[] = { SIGINT, SIGTERM };
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uv_signal_init(&self->loop.uv, &self->signals[i]);
        self->signals[i].data = self;
        uv_signal_start(&self->signals[i], handle_signal, numbers[i]);
    }
}

/* Each guest takes about a dozen descriptors. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)65536);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int start(struct daemon *self, struct error *err)
{
    const struct config *c = &self->config;
    struct farm_config farm = {
        .state_dir = c->state_dir,
        .cache_dir = c->cache_dir,
        .accel = c->accel,
        .qemu = c->qemu,
        .host_limits = { c->max_sandboxes, c->max_cpus, c->max_memory_mib, c->max_disk_mib },
        .boot = c->boot,
        .pool = (int)c->pool,
        .is_recording_off = c->no_recording,
        .record_days = c->record_days,
        .record_mib = c->record_max_mib,
        .linger_us = c->linger_ms * 1000,
    };
    struct web_config web = {
        .addresses = c->listen[0] ? c->listen : NULL,
        .port = (int)c->port,
        .socket_dir = c->state_dir,
        .hosts = c->hosts[0] ? c->hosts : NULL,
        .ui_dir = c->ui_dir,
        .proxy_domain = c->proxy_domain,
    };
    self->pool = worker_pool_new(&self->loop, 0, 0);
    if (!self->pool)
        return error_set(err, ERROR_INTERNAL, "starting worker threads");
    int r = farm_new(&self->farm, &farm, &self->loop, self->pool, err);
    if (r == 0)
        r = web_new(&self->web, &web, self->farm, &self->loop, err);
    return r;
}

static void stop(struct daemon *self)
{
    web_free(self->web);
    farm_free(self->farm);
    worker_pool_free(self->pool);
    for (size_t i = 0; i < ARRAY_LEN(self->signals); i++)
        if (self->signals[i].data)
            uv_close((uv_handle_t *)&self->signals[i], NULL);
    loop_deinit(&self->loop);
    config_deinit(&self->config);
}

int main(int argc, char **argv)
{
    struct daemon self = { 0 };
    struct error err = { 0 };
    if (config_load(&self.config, argc, argv, &err) < 0) {
        fprintf(stderr, "deskfarmd: %s: %s\n", error_code_name(err.code), err.message);
        return 2;
    }
    if (self.config.show_help || self.config.show_version) {
        if (self.config.show_help)
            config_print_help();
        else
            puts("deskfarmd " DESKFARM_VERSION);
        config_deinit(&self.config);
        return 0;
    }
    log_set_level(self.config.log_level);
    umask(077);
    raise_file_limit();
    process_go_first(); /* before the workers are made */
    loop_init(&self.loop);
    watch_signals(&self);
    int r = start(&self, &err);
    if (r == 0) {
        const char *address = self.config.listen[0] ? self.config.listen[0] : "127.0.0.1";
        log_info("serving on http://%s:%d", address, web_port(self.web));
        /* For whoever started us with --port 0. */
        printf("{\"port\":%d}\n", web_port(self.web));
        fflush(stdout);
        loop_run(&self.loop);
    } else {
        fprintf(stderr, "deskfarmd: %s: %s\n", error_code_name(err.code), err.message);
    }
    stop(&self);
    return r == 0 ? 0 : 1;
}
