/* Which accelerator guests run on, and why.
 *
 * `auto` takes KVM when /dev/kvm opens and the CPU shows vmx or svm, else TCG. A /dev/kvm that
 * opens on a CPU without those flags exists (paravirtual nested hosts) and does not boot a stock
 * kernel: auto does not choose it, and the reason says so. */
#pragma once

#include "base/error.h"

enum accel { ACCEL_TCG, ACCEL_KVM };
enum accel_wish { ACCEL_WISH_AUTO, ACCEL_WISH_KVM, ACCEL_WISH_TCG };

struct accel_facts {
    int kvm_errno;        /* 0: /dev/kvm opens read-write, else why it does not */
    bool has_virt_flags;  /* /proc/cpuinfo shows vmx or svm */
};

struct accel_choice {
    enum accel accel;
    char reason[160]; /* for the log and for GET /v1/info */
};

/* "auto", "kvm" or "tcg"; anything else is bad_config. */
int accel_parse(const char *name, enum accel_wish *ret, struct error *err);
const char *accel_name(enum accel accel); /* "tcg", "kvm" */

/* Looks at this machine. */
struct accel_facts accel_look(void);
/* The decision, a pure function. bad_config when kvm is demanded and /dev/kvm does not open. */
int accel_decide(enum accel_wish wish, const struct accel_facts *facts, struct accel_choice *ret,
                 struct error *err);
/* True when a cpuinfo text has the flag vmx or svm. */
bool accel_cpuinfo_has_virt(const char *cpuinfo);
