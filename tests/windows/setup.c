/* A stand-in for what a Windows ISO starts, as far as the builder of images/windows can tell the difference: asks for
 * a key, looks for its media and the answer file, and obeys what of that a firmware can: the commands that write on the
 * serial port. Nothing is installed by it; a real Setup takes over where it waits.
 *
 * With a file GOES-ON on its volume it goes on as Windows would: puts itself on the disk, restarts, is started from
 * there, says what the scripts of the two logons say, and switches off. What it is to do at a start is written in
 * the disk's last block. */
#include "port.h"

#include <efilib.h>

enum { VOLUME_BYTES = 1440 * 1024, CD_BLOCK = 2048, DISK_BLOCK = 512, PROMPT_100NS = 50000000, SECOND_US = 1000000 };
enum { DESCRIPTOR = 16, LABEL_AT = 40, LABEL_CHARS = 32, ROOT_AT = 156, EXTENT_AT = 2, SIZE_AT = 10, NAME_AT = 32 };
enum { PHASE_COPIED = 1, PHASE_INSTALLED = 2 };

static EFI_BLOCK_IO *system_disk;
static char *answer; /* the answer file, ended by a zero */
static UINTN answer_size;

/* --- Saying -------------------------------------------------------------------------------------------------- */

static void print(const char *text)
{
    CHAR16 wide[120];
    UINTN n = 0;
    for (; text[n] && n < 119; n++)
        wide[n] = (CHAR16)text[n];
    wide[n] = 0;
    ST->ConOut->OutputString(ST->ConOut, wide);
}

/* A line on the screen, and "deskfarm …" on the serial port. */
static void say(const char *text, const char *more)
{
    port_write("deskfarm ");
    port_write(text);
    port_write(more);
    port_write("\r\n");
    print(text);
    print(more);
    print("\r\n");
}

/* --- Media ---------------------------------------------------------------------------------------------------- */

static UINT32 read_le32(const UINT8 *at)
{
    return at[0] | at[1] << 8 | at[2] << 16 | (UINT32)at[3] << 24;
}

/* Blocks of a CD in pages of their own; NULL when they cannot be read. */
static UINT8 *read_blocks(EFI_BLOCK_IO *io, UINT32 at, UINTN bytes)
{
    UINTN n = (bytes + CD_BLOCK - 1) / CD_BLOCK * CD_BLOCK;
    UINT8 *data = AllocateZeroPool(n + 1);
    if (data && !EFI_ERROR(io->ReadBlocks(io, io->Media->MediaId, at, n, data)))
        return data;
    return NULL;
}

static BOOLEAN is_named(const UINT8 *record, const char *name)
{
    UINTN i = 0;
    for (; name[i]; i++)
        if (i >= record[NAME_AT] || (record[NAME_AT + 1 + i] & ~0x20) != (UINT8)(name[i] & ~0x20))
            return FALSE;
    return i == record[NAME_AT] || record[NAME_AT + 1 + i] == ';';
}

/* A record in the root of an ISO 9660 file system, or NULL. */
static const UINT8 *find(const UINT8 *root, UINT32 size, const char *name)
{
    for (UINT32 at = 0; at < size;) {
        if (!root[at])
            at = (at / CD_BLOCK + 1) * CD_BLOCK; /* records do not cross blocks */
        else if (is_named(root + at, name))
            return root + at;
        else
            at += root[at];
    }
    return NULL;
}

static void look_at_cd(EFI_BLOCK_IO *io)
{
    char label[LABEL_CHARS + 1] = { 0 };
    UINT8 *descriptor = read_blocks(io, DESCRIPTOR, CD_BLOCK);
    if (!descriptor || CompareMem(descriptor + 1, "CD001", 5) != 0)
        return;
    CopyMem(label, descriptor + LABEL_AT, LABEL_CHARS);
    for (UINTN i = LABEL_CHARS; i > 0 && label[i - 1] == ' '; i--)
        label[i - 1] = 0;
    say("cd ", label);
    UINT32 size = read_le32(descriptor + ROOT_AT + SIZE_AT);
    UINT8 *root = read_blocks(io, read_le32(descriptor + ROOT_AT + EXTENT_AT), size);
    const UINT8 *file = root ? find(root, size, "AUTOUNATTEND.XML") : NULL;
    if (file) {
        say("file ", "autounattend.xml");
        answer_size = read_le32(file + SIZE_AT);
        answer = (char *)read_blocks(io, read_le32(file + EXTENT_AT), answer_size);
    }
    if (root && find(root, size, "DRIVERS"))
        say("file ", "drivers");
    if (root && find(root, size, "DESKFARM"))
        say("file ", "deskfarm");
}

static void look_at_media(void)
{
    EFI_GUID guid = BLOCK_IO_PROTOCOL;
    EFI_HANDLE *handles = NULL;
    UINTN n = 0;
    if (EFI_ERROR(BS->LocateHandleBuffer(ByProtocol, &guid, NULL, &n, &handles)))
        return;
    for (UINTN i = 0; i < n; i++) {
        EFI_BLOCK_IO *io;
        if (EFI_ERROR(BS->HandleProtocol(handles[i], &guid, (void **)&io)) || !io->Media->MediaPresent ||
            io->Media->LogicalPartition)
            continue;
        if (io->Media->BlockSize == CD_BLOCK)
            look_at_cd(io);
        else if (io->Media->BlockSize == DISK_BLOCK && !io->Media->ReadOnly)
            system_disk = io;
    }
    say("disk ", system_disk ? "found" : "missing");
}

/* --- The disk --------------------------------------------------------------------------------------------------- */

static UINT8 sector[DISK_BLOCK] __attribute__((aligned(4096)));

static UINT8 get_phase(void)
{
    EFI_BLOCK_IO_MEDIA *media = system_disk->Media;
    system_disk->ReadBlocks(system_disk, media->MediaId, media->LastBlock, DISK_BLOCK, sector);
    return sector[0];
}

static void set_phase(UINT8 phase)
{
    EFI_BLOCK_IO_MEDIA *media = system_disk->Media;
    sector[0] = phase;
    system_disk->WriteBlocks(system_disk, media->MediaId, media->LastBlock, DISK_BLOCK, sector);
    system_disk->FlushBlocks(system_disk);
}

/* It is a floppy's image; the firmware may think it longer. */
static BOOLEAN copy_volume(EFI_HANDLE volume)
{
    EFI_GUID guid = BLOCK_IO_PROTOCOL;
    EFI_BLOCK_IO *io;
    if (EFI_ERROR(BS->HandleProtocol(volume, &guid, (void **)&io)))
        return FALSE;
    void *data = AllocatePool(VOLUME_BYTES);
    return data && !EFI_ERROR(io->ReadBlocks(io, io->Media->MediaId, 0, VOLUME_BYTES, data)) &&
           !EFI_ERROR(system_disk->WriteBlocks(system_disk, system_disk->Media->MediaId, 0, VOLUME_BYTES, data));
}

static BOOLEAN has_file(EFI_HANDLE volume, CHAR16 *name)
{
    EFI_FILE_HANDLE root = LibOpenRoot(volume), file;
    return root && !EFI_ERROR(root->Open(root, &file, name, EFI_FILE_MODE_READ, 0));
}

static BOOLEAN is_cd(EFI_HANDLE volume)
{
    for (EFI_DEVICE_PATH *node = DevicePathFromHandle(volume); node && !IsDevicePathEnd(node);
         node = NextDevicePathNode(node))
        if (DevicePathType(node) == MEDIA_DEVICE_PATH && DevicePathSubType(node) == MEDIA_CDROM_DP)
            return TRUE;
    return FALSE;
}

/* --- What Windows does -------------------------------------------------------------------------------------------- */

static BOOLEAN is_key_pressed(void)
{
    EFI_EVENT events[2] = { ST->ConIn->WaitForKey };
    UINTN index;
    print("Press any key to boot from CD or DVD......");
    BS->CreateEvent(EVT_TIMER, 0, NULL, NULL, &events[1]);
    BS->SetTimer(events[1], TimerRelative, PROMPT_100NS);
    BS->WaitForEvent(2, events, &index);
    return index == 0;
}

/* Does the next command of the answer file that is "echo deskfarm … >COM1". */
static void obey_answer(void)
{
    static const char before[] = "echo deskfarm ", after[] = " &gt;COM1";
    static UINTN at;
    char text[64];
    for (; at + sizeof before < answer_size; at++) {
        if (CompareMem(answer + at, before, sizeof before - 1) != 0)
            continue;
        at += sizeof before - 1;
        for (UINTN n = 0; n < sizeof text - 1 && at + n + sizeof after <= answer_size; n++) {
            text[n] = answer[at + n];
            text[n + 1] = 0;
            if (CompareMem(answer + at + n + 1, after, sizeof after - 1) == 0) {
                say(text, "");
                return;
            }
        }
    }
    say("failed ", "the answer file has no such command");
}

static void switch_off(void)
{
    BS->Stall(SECOND_US);
    RT->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
}

static void first_start(EFI_HANDLE volume)
{
    look_at_media();
    if (!answer) {
        print("Language to install:\r\n");
        return;
    }
    obey_answer();
    print("Copying Windows files (34%)\r\n");
    if (!has_file(volume, L"\\GOES-ON"))
        return;
    if (!system_disk || !copy_volume(volume)) {
        say("failed ", "the disk cannot be written");
        return;
    }
    set_phase(PHASE_COPIED);
    RT->ResetSystem(EfiResetCold, EFI_SUCCESS, 0, NULL);
}

static void later_start(void)
{
    look_at_media();
    if (get_phase() == PHASE_COPIED) {
        obey_answer();
        obey_answer();
        say("logon", "");
        say("step 1/1 ", "nothing to do");
        say("warning ", "no Windows");
        set_phase(PHASE_INSTALLED);
        say("done", "");
    } else {
        say("second", "");
        say("ready", "");
        BS->Stall(3 * SECOND_US);
        say("done", "");
    }
    switch_off();
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
    EFI_LOADED_IMAGE *loaded;
    EFI_GUID guid = LOADED_IMAGE_PROTOCOL;
    InitializeLib(image, table);
    BS->SetWatchdogTimer(0, 0, 0, NULL);
    BS->HandleProtocol(image, &guid, (void **)&loaded);
    BOOLEAN is_from_cd = is_cd(loaded->DeviceHandle);
    /* The prompt is on the firmware's console, and with that on the serial port too. */
    if (is_from_cd && !is_key_pressed())
        return EFI_NOT_FOUND;
    port_init();
    if (is_from_cd) {
        ST->ConOut->ClearScreen(ST->ConOut);
        print("Windows Setup\r\n");
        first_start(loaded->DeviceHandle);
    } else {
        print("Windows\r\n");
        later_start();
    }
    for (;;)
        BS->Stall(SECOND_US);
}
