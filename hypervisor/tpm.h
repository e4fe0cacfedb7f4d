/* A guest's TPM 2.0: one swtpm beside its QEMU, in a jail of its own, on a pair of sockets.
 *
 * It outlives the daemon, as QEMU does, and ends by itself when QEMU does. Its state lies in memory that only it
 * sees: a reboot of the guest finds it there, and it goes with the process. What a checkpoint, a fork or a
 * hibernation has of it is in QEMU's device state, which asks swtpm for it and gives it to the next one. A swtpm that
 * dies takes its state along and is not started again: on_end tells. */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/loop.h"
#include "hypervisor/argv.h"

#include <sys/types.h>

struct tpm;

/* It is gone. why is "" when it ended as it does behind QEMU. */
typedef void (*tpm_end_fn)(void *data, const char *why);

/* Starts one for the guest of that name and gives QEMU's end of the sockets in ret_fd, close-on-exec, the caller's.
 * uid: as root the guest's, else 0. */
int tpm_start(struct tpm **ret, int *ret_fd, struct loop *loop, const char *name, uid_t uid, tpm_end_fn on_end,
              void *data, struct error *err);
/* Takes over the one that an earlier daemon started. -ESRCH when it is gone. */
int tpm_adopt(struct tpm **ret, struct loop *loop, const json_t *identity, tpm_end_fn on_end, void *data,
              struct error *err);
/* What tpm_adopt needs: {"pid","start_time"}. New reference. */
json_t *tpm_identity(const struct tpm *self);
/* Kills it. Positive: its jail is still being built, so that it can be killed only then; tpm_end_fn tells when it is gone. */
int tpm_kill(struct tpm *self);
/* Forgets it; it runs on unless it was killed. Takes NULL, returns NULL. */
struct tpm *tpm_free(struct tpm *self);

/* Where it has its state inside its jail, behind which comes the guest's name: strays are known by it. */
#define TPM_DIR "/tpm/"
/* Its arguments. Pure. */
void tpm_args(const char *name, struct argv *out);
