/* Logging to standard error, one line per record: time, level, module, text. A file names its
 * module by defining LOG_MODULE before this include. Code below farm/ logs at debug only: the
 * caller, who knows the context, says it once. Safe from any thread. */
#pragma once

#include "base/util.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Records above this level are dropped. Default LOG_INFO. */
void log_set_level(enum log_level level);
/* Returns -EINVAL for an unknown name (error, warn, info, debug). */
int log_level_parse(const char *name, enum log_level *ret_level);

void log_write(enum log_level level, const char *module, const char *format, ...) printf_like(3, 4);

#ifdef LOG_MODULE
#define log_error(...) log_write(LOG_ERROR, LOG_MODULE, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, LOG_MODULE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, LOG_MODULE, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, LOG_MODULE, __VA_ARGS__)
#endif
