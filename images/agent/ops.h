/* What can be asked for. README.md lists the operations with their fields. */
#pragma once

#include "base/json.h"
#include "images/agent/channel.h"
#include "images/agent/spawn.h"

/* A REQUEST frame. It always ends with an END on that channel. */
void ops_request(uint16_t number, const uint8_t *json, size_t size);
/* What WELCOME says. */
json_t *ops_welcome(void);

/* Operations that start something (exec.c, tcp.c): they end the channel or start it. */
void exec_start(struct channel *channel, const json_t *request);
void pty_start(struct channel *channel, const json_t *request);
void tar_start(struct channel *channel, const json_t *request);
void tcp_start(struct channel *channel, const json_t *request);

/* Operations that are done at once (system.c, reset.c): the result. */
json_t *system_ping(const json_t *request);
json_t *system_metrics(const json_t *request);
json_t *system_clock(const json_t *request);
json_t *system_hostname(const json_t *request);
json_t *system_entropy(const json_t *request);
json_t *system_reset(const json_t *request);

/* Operations that work in a child (files.c, files-write.c, search.c, watch.c). */
int files_stat(struct work *work);
int files_list(struct work *work);
int files_read(struct work *work);
int files_write(struct work *work);
int files_mkdir(struct work *work);
int files_move(struct work *work);
int files_remove(struct work *work);
int files_permissions(struct work *work);
int search_run(struct work *work);
int search_replace(struct work *work);
int watch_run(struct work *work);
