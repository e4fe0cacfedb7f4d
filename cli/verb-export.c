/* checkpoint export, checkpoint import: a checkpoint or a template as a file. */
#include "cli/output.h"
#include "cli/transfer.h"
#include "cli/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static FILE *open_file(struct cli *cli, const char *path, const char *mode, FILE *standard)
{
    FILE *file = strcmp(path, "-") == 0 ? standard : fopen(path, mode);
    if (!file)
        cli_fail(cli, CLI_FAILED, "file_failed", "%s: %s", path, strerror(errno));
    return file;
}

/* Two operands: the row of the path and a file of ours. */
static int take_file(struct request *request, int argc, char *const *argv, struct error *err)
{
    if (request_own(request, "file"))
        return error_set(err, ERROR_BAD_VALUE, "one file is enough: %s", argv[0]);
    json_object_set_new(request->own, "file", json_string(argv[0]));
    return argc > 0;
}

static int run_export(struct cli *cli, struct request *request)
{
    struct reply reply;
    const char *path = request_own(request, "file");
    if (!path)
        return cli_fail(cli, CLI_USAGE, "missing_field", "name a file, or - for standard output");
    FILE *out = open_file(cli, path, "wbx", stdout);
    if (!out)
        return CLI_FAILED;
    int status = transfer_run(cli, request, NULL, out, &reply);
    if (out != stdout && fclose(out) != 0 && status == CLI_OK)
        status = cli_fail(cli, CLI_FAILED, "write_failed", "%s: %s", path, strerror(errno));
    if (out != stdout && status != CLI_OK)
        unlink(path);
    if (status == CLI_OK)
        reply_deinit(&reply);
    return status;
}

static const struct column imported[] = {
    { "ID", "id" },
    { "NAME", "name" },
    { "IMAGE", "image" },
    { "BYTES", "bytes" },
    { NULL, NULL },
};

static int run_import(struct cli *cli, struct request *request)
{
    struct reply reply;
    const char *path = request_own(request, "file");
    if (!path)
        return cli_fail(cli, CLI_USAGE, "missing_field", "name a file, or - for standard input");
    FILE *in = open_file(cli, path, "rbe", stdin);
    if (!in)
        return CLI_FAILED;
    int status = transfer_run(cli, request, in, NULL, &reply);
    if (in != stdin)
        fclose(in);
    if (status != CLI_OK)
        return status;
    return output_answer(cli, imported, &reply);
}

static const char *const export_operands[] = { "id", NULL };

const struct verb verb_checkpoint_export = {
    .name = "checkpoint export",
    .usage = "CHECKPOINT FILE",
    .operation = "checkpoint_export",
    .operands = export_operands,
    .take = take_file,
    .run = run_export,
    .text = "FILE must not exist; - is standard output. It holds the guest's memory, secrets included,\n"
            "and is read by `tar --zstd`. Templates go the same way.\n",
};

const struct verb verb_checkpoint_import = {
    .name = "checkpoint import",
    .usage = "FILE",
    .operation = "checkpoint_import",
    .take = take_file,
    .run = run_import,
    .text = "FILE is what `deskfarm checkpoint export` wrote; - is standard input. Refused when it is of\n"
            "another version of QEMU, another accelerator or another build of the image.\n",
};
