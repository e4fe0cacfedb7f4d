#include "hypervisor/accel.h"

#include "base/buf.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define CPUINFO_MAX (8 * 1024 * 1024)

int accel_parse(const char *name, enum accel_wish *ret, struct error *err)
{
    static const char *const names[] = {
        [ACCEL_WISH_AUTO] = "auto", [ACCEL_WISH_KVM] = "kvm", [ACCEL_WISH_TCG] = "tcg"
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum accel_wish)i;
            return 0;
        }
    }
    return error_set(err, ERROR_CONFIG, "accelerator \"%s\" is not one of auto, kvm, tcg", name);
}

const char *accel_name(enum accel accel)
{
    return accel == ACCEL_KVM ? "kvm" : "tcg";
}

static bool line_has_flag(const char *line, const char *end, const char *flag)
{
    size_t n = strlen(flag);
    for (const char *at = line; (at = memmem(at, (size_t)(end - at), flag, n)); at += n) {
        bool starts = at > line && (at[-1] == ' ' || at[-1] == '\t');
        bool ends = at + n == end || at[n] == ' ';
        if (starts && ends)
            return true;
    }
    return false;
}

bool accel_cpuinfo_has_virt(const char *cpuinfo)
{
    for (const char *line = cpuinfo; *line;) {
        const char *end = strchrnul(line, '\n');
        if (strncmp(line, "flags", 5) == 0 &&
            (line_has_flag(line, end, "vmx") || line_has_flag(line, end, "svm")))
            return true;
        line = *end ? end + 1 : end;
    }
    return false;
}

struct accel_facts accel_look(void)
{
    struct accel_facts facts = { 0 };
    auto_fd int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        facts.kvm_errno = errno;
    auto_buf struct buf text = BUF_INIT;
    if (fs_read("/proc/cpuinfo", CPUINFO_MAX, &text, NULL) == 0)
        facts.has_virt_flags = accel_cpuinfo_has_virt(buf_str(&text));
    return facts;
}

int accel_decide(enum accel_wish wish, const struct accel_facts *facts, struct accel_choice *ret,
                 struct error *err)
{
    *ret = (struct accel_choice){ .accel = ACCEL_TCG };
    if (wish == ACCEL_WISH_KVM && facts->kvm_errno)
        return error_set(err, ERROR_CONFIG, "KVM is demanded, but /dev/kvm does not open: %s",
                         strerror(facts->kvm_errno));
    if (wish != ACCEL_WISH_AUTO) {
        ret->accel = wish == ACCEL_WISH_KVM ? ACCEL_KVM : ACCEL_TCG;
        snprintf(ret->reason, sizeof ret->reason, "as configured");
    } else if (facts->kvm_errno) {
        snprintf(ret->reason, sizeof ret->reason, "/dev/kvm does not open: %s",
                 strerror(facts->kvm_errno));
    } else if (!facts->has_virt_flags) {
        snprintf(ret->reason, sizeof ret->reason,
                 "/dev/kvm opens, but the CPU shows neither vmx nor svm: guests would not boot");
    } else {
        ret->accel = ACCEL_KVM;
        snprintf(ret->reason, sizeof ret->reason, "/dev/kvm opens and the CPU has vmx or svm");
    }
    return 0;
}
