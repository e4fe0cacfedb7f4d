/* Pause and resume: the guest's processors stand still, everything else stays. The host keeps its
 * memory, the lease runs on, the screen can still be looked at.
 *
 *   RUNNING  --pause-->  PAUSING   batches are aborted, QMP `stop` is out
 *   PAUSING  --------->  PAUSED    QEMU has answered
 *   PAUSED   --resume->  RESUMING  QMP `cont` is out, then the guest is told what it missed
 *                                  and held keys are released
 *   RESUMING --------->  RUNNING   the agent has set the clock, or IDENTITY_WAIT_US passed
 *
 * Each step that another daemon may have to finish is in the journal; a daemon that adopts the
 * sandbox goes on from what the journal and QEMU say (pause_adopt). */
#define LOG_MODULE "pause"
#include "base/log.h"
#include "farm/identity.h"
#include "farm/recording.h"
#include "farm/sandbox-impl.h"

#include <string.h>

#define IDENTITY_WAIT_US 5000000

static int check_qmp(struct sandbox *self, const char *what, struct error *err)
{
    if (self->guest && guest_qmp(self->guest) && qmp_is_ready(guest_qmp(self->guest)))
        return 0;
    return error_set(err, ERROR_NOT_READY, "%s sandbox %s: its control connection is not up", what,
                     self->id);
}

static int refuse(struct sandbox *self, const char *what, struct error *err)
{
    bool is_gone = self->state == SANDBOX_STOPPING || self->state == SANDBOX_TERMINATED ||
                   self->state == SANDBOX_FAILED;
    return error_set(err, is_gone ? ERROR_GUEST_GONE : ERROR_CONFLICT, "%s sandbox %s: it is %s",
                     what, self->id, sandbox_state_name(self->state));
}

/* --- Pause ----------------------------------------------------------------------------------- */

static void become_paused(struct sandbox *self)
{
    sandbox_set_state(self, SANDBOX_PAUSED, "Paused", "");
    recording_event(self, "paused", NULL);
    inside_set_paused(self, true);
}

static void handle_stopped(void *data, json_t *result maybe_unused, const struct error *err)
{
    struct sandbox *self = data;
    if (self->state != SANDBOX_PAUSING)
        return; /* deleted meanwhile, or the guest is gone */
    if (err)
        sandbox_set_state(self, SANDBOX_RUNNING, "PauseFailed", err->message);
    else
        become_paused(self);
    farm_store(self->farm, self, NULL);
}

static void begin_pause(struct sandbox *self)
{
    struct error err = { 0 };
    error_set(&err, ERROR_CONFLICT, "sandbox %s was paused", self->id);
    sandbox_set_state(self, SANDBOX_PAUSING, "", "");
    /* Releases would come too late: QEMU takes no input for a guest that stands still. */
    self->is_reset_due |= self->batch || input_n_held(self->input) > 0;
    sandbox_fail_ops(self, &err);
    input_release_all(self->input);
    farm_store(self->farm, self, NULL);
    qmp_execute(guest_qmp(self->guest), "stop", NULL, handle_stopped, self);
}

int sandbox_pause(struct sandbox *self, struct error *err)
{
    if (self->state == SANDBOX_PAUSING || self->state == SANDBOX_PAUSED)
        return 0;
    if (self->state != SANDBOX_RUNNING)
        return refuse(self, "pausing", err);
    int r = check_qmp(self, "pausing", err);
    if (r == 0 && guest_is_saving(self->guest))
        r = error_set(err, ERROR_BUSY, "pausing sandbox %s: it is being saved", self->id);
    if (r == 0)
        begin_pause(self);
    return r;
}

/* --- Resume ---------------------------------------------------------------------------------- */

static void handle_told(void *data)
{
    struct sandbox *self = data;
    if (self->state != SANDBOX_RESUMING)
        return;
    sandbox_set_state(self, SANDBOX_RUNNING, "Resumed", "");
    recording_event(self, "unpaused", NULL);
    farm_store(self->farm, self, NULL);
}

static void handle_continued(void *data, json_t *result maybe_unused, const struct error *err)
{
    struct sandbox *self = data;
    if (self->state != SANDBOX_RESUMING)
        return;
    if (err) {
        sandbox_set_state(self, SANDBOX_PAUSED, "ResumeFailed", err->message);
        farm_store(self->farm, self, NULL);
        return;
    }
    inside_set_paused(self, false);
    if (self->is_reset_due)
        desktop_lift_keys(self, NULL);
    self->is_reset_due = false;
    identity_refresh(self, IDENTITY_CLOCK | IDENTITY_ENTROPY,
                     self->agent_kind == INSIDE_NONE ? 0 : IDENTITY_WAIT_US, handle_told, self);
}

static void begin_resume(struct sandbox *self)
{
    sandbox_set_state(self, SANDBOX_RESUMING, "", "");
    farm_store(self->farm, self, NULL);
    qmp_execute(guest_qmp(self->guest), "cont", NULL, handle_continued, self);
}

int sandbox_resume(struct sandbox *self, struct error *err)
{
    bool is_stuck = self->state == SANDBOX_RUNNING && self->guest &&
                    guest_get_state(self->guest) == GUEST_PAUSED; /* a full disk stops it, too */
    if (self->state == SANDBOX_HIBERNATED || self->state == SANDBOX_HIBERNATING || self->state == SANDBOX_WAKING)
        return sandbox_wake(self, err);
    if (self->state == SANDBOX_RESUMING || (self->state == SANDBOX_RUNNING && !is_stuck))
        return 0;
    if (self->state != SANDBOX_PAUSED && !is_stuck)
        return refuse(self, "resuming", err);
    int r = check_qmp(self, "resuming", err);
    if (r == 0)
        begin_resume(self);
    return r;
}

/* --- Adoption -------------------------------------------------------------------------------- */

void pause_adopt(struct sandbox *self, enum sandbox_state before)
{
    bool is_still = guest_get_state(self->guest) == GUEST_PAUSED;
    if (before == SANDBOX_PAUSING && !is_still)
        begin_pause(self);
    else if (before == SANDBOX_RESUMING)
        begin_resume(self);
    else if (is_still && (before == SANDBOX_RUNNING || before == SANDBOX_HIBERNATING))
        begin_resume(self); /* the earlier daemon died in the pause of a checkpoint or a hibernation */
    else if (is_still && (before == SANDBOX_PAUSED || before == SANDBOX_PAUSING))
        become_paused(self);
}
