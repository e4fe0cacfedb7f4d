/* Reads /etc/passwd and /etc/group itself: a static program cannot load the C library's modules for
 * other sources, and a guest's users are local. */
#include "images/agent/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

static const struct passwd *find_passwd(const char *name, uid_t uid)
{
    FILE *file = fopen("/etc/passwd", "re");
    struct passwd *entry = NULL;
    while (file && (entry = fgetpwent(file)))
        if (name ? strcmp(entry->pw_name, name) == 0 : entry->pw_uid == uid)
            break;
    if (file)
        fclose(file);
    return entry; /* the C library's own memory */
}

static const struct group *find_group(const char *name, gid_t gid)
{
    FILE *file = fopen("/etc/group", "re");
    struct group *entry = NULL;
    while (file && (entry = fgetgrent(file)))
        if (name ? strcmp(entry->gr_name, name) == 0 : entry->gr_gid == gid)
            break;
    if (file)
        fclose(file);
    return entry;
}

static void find_groups(struct user *self)
{
    self->groups[self->n_groups++] = self->gid;
    FILE *file = fopen("/etc/group", "re");
    const struct group *entry;
    while (file && self->name[0] && (entry = fgetgrent(file)))
        for (char **member = entry->gr_mem; *member; member++)
            if (strcmp(*member, self->name) == 0 && self->n_groups < USER_GROUPS_MAX)
                self->groups[self->n_groups++] = entry->gr_gid;
    if (file)
        fclose(file);
}

int user_find(const json_t *request, struct user *ret)
{
    const json_t *wish = json_object_get(request, "user");
    const json_t *group = json_object_get(request, "group");
    const char *name = json_string_value(wish);
    *ret = (struct user) { .uid = geteuid(), .gid = getegid(), .home = "/", .shell = "/bin/sh" };
    if (json_is_integer(wish))
        ret->uid = (uid_t)json_integer_value(wish);
    const struct passwd *entry = find_passwd(name, ret->uid);
    if (name && !entry)
        return -ENOENT;
    if (entry) {
        ret->uid = entry->pw_uid;
        ret->gid = entry->pw_gid;
        snprintf(ret->name, sizeof ret->name, "%s", entry->pw_name);
        snprintf(ret->home, sizeof ret->home, "%s", entry->pw_dir);
        if (entry->pw_shell[0])
            snprintf(ret->shell, sizeof ret->shell, "%s", entry->pw_shell);
    } else if (json_is_integer(wish)) {
        ret->gid = (gid_t)ret->uid;
    }
    int64_t gid = group_id(group);
    if (gid < -1)
        return (int)gid;
    if (gid >= 0)
        ret->gid = (gid_t)gid;
    ret->is_other = ret->uid != geteuid() || ret->gid != getegid();
    find_groups(ret);
    return 0;
}

int user_become(const struct user *self)
{
    if (!self->is_other)
        return 0;
    if (setgroups((size_t)self->n_groups, self->groups) < 0 || setgid(self->gid) < 0 ||
        setuid(self->uid) < 0)
        return -errno;
    return 0;
}

int64_t user_id(const json_t *value)
{
    const char *name = json_string_value(value);
    if (!name)
        return json_is_integer(value) ? json_integer_value(value) & 0xffffffff : -1;
    const struct passwd *entry = find_passwd(name, 0);
    return entry ? (int64_t)entry->pw_uid : -ENOENT;
}

int64_t group_id(const json_t *value)
{
    const char *name = json_string_value(value);
    if (!name)
        return json_is_integer(value) ? json_integer_value(value) & 0xffffffff : -1;
    const struct group *entry = find_group(name, 0);
    return entry ? (int64_t)entry->gr_gid : -ENOENT;
}

const char *user_name(uid_t uid)
{
    const struct passwd *entry = find_passwd(NULL, uid);
    return entry ? entry->pw_name : NULL;
}

const char *group_name(gid_t gid)
{
    const struct group *entry = find_group(NULL, gid);
    return entry ? entry->gr_name : NULL;
}
