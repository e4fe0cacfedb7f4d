/* An allow-list. What is not on it fails with EPERM: a library lives with a call that fails, and a
 * list that forgot one would kill helpers at random. No opening, no connecting, no executing, no
 * mapping of code, no tracing. A sanitizer needs calls of its own, so there the fence stays down. */
#include "base/fence.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define FILES_MAX 64

static const int allowed[] = {
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close),
    SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getpeername), SCMP_SYS(getsockname),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(fcntl),
    SCMP_SYS(dup), SCMP_SYS(pipe2), SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex),
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(getrandom), SCMP_SYS(uname), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getrlimit),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(tgkill), SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
    SCMP_SYS(wait4), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield),
    SCMP_SYS(clone), SCMP_SYS(seccomp), SCMP_SYS(prctl), SCMP_SYS(sysinfo),
};

static int add_rules(scmp_filter_ctx filter)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(allowed); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    /* Memory, but none that can be executed. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return r;
}

static int load(uint32_t otherwise, int (*add)(scmp_filter_ctx filter))
{
#ifdef __SANITIZE_ADDRESS__
    (void)otherwise, (void)add;
    return 0;
#else
    scmp_filter_ctx filter = seccomp_init(otherwise);
    int r = filter ? add(filter) : -ENOMEM;
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
#endif
}

int fence_enter(void)
{
    struct rlimit files = { FILES_MAX, FILES_MAX };
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        return -errno;
    return load(SCMP_ACT_ERRNO(EPERM), add_rules);
}

static int forbid_processes(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 0);
}

int fence_no_processes(void)
{
    return load(SCMP_ACT_ALLOW, forbid_processes);
}
