#include "disk.h"

#include "port.h"

#include <efilib.h>

enum { DISKS_MAX = 16, BLOCK_MAX = 4096 };

static UINT8 block_bytes[BLOCK_MAX];
static UINTN block_size;

/* Looked for anew by every command: a handle may go when a driver binds anew. */
static UINTN find_disks(EFI_BLOCK_IO *disks[DISKS_MAX])
{
    EFI_HANDLE *handles = NULL;
    UINTN n_handles = 0, n = 0;
    if (EFI_ERROR(BS->LocateHandleBuffer(ByProtocol, &BlockIoProtocol, NULL, &n_handles, &handles)))
        return 0;
    for (UINTN i = 0; i < n_handles && n < DISKS_MAX; i++) {
        EFI_BLOCK_IO *io;
        if (!EFI_ERROR(BS->HandleProtocol(handles[i], &BlockIoProtocol, (void **)&io)) && io->Media->MediaPresent &&
            !io->Media->LogicalPartition && io->Media->BlockSize <= BLOCK_MAX)
            disks[n++] = io;
    }
    BS->FreePool(handles);
    return n;
}

void disk_report(void)
{
    EFI_BLOCK_IO *disks[DISKS_MAX];
    UINTN n = find_disks(disks);
    report_raw("disks", "[");
    for (UINTN i = 0; i < n; i++) {
        const EFI_BLOCK_IO_MEDIA *media = disks[i]->Media;
        report_raw(NULL, i ? ",[" : "[");
        report_int(NULL, (INT64)media->LastBlock + 1);
        report_raw(NULL, ",");
        report_int(NULL, media->BlockSize);
        report_raw(NULL, media->ReadOnly ? ",1]" : ",0]");
    }
    report_raw(NULL, "]");
}

static EFI_BLOCK_IO *find_disk(UINTN disk, UINT64 block)
{
    EFI_BLOCK_IO *disks[DISKS_MAX];
    return disk < find_disks(disks) && block <= disks[disk]->Media->LastBlock ? disks[disk] : NULL;
}

BOOLEAN disk_read(UINTN disk, UINT64 block)
{
    EFI_BLOCK_IO *io = find_disk(disk, block);
    if (!io)
        return FALSE;
    block_size = io->Media->BlockSize;
    return !EFI_ERROR(io->ReadBlocks(io, io->Media->MediaId, block, block_size, block_bytes));
}

BOOLEAN disk_fill(UINTN disk, UINT64 block, UINT8 byte)
{
    EFI_BLOCK_IO *io = find_disk(disk, block);
    if (!io)
        return FALSE;
    block_size = io->Media->BlockSize;
    BS->SetMem(block_bytes, block_size, byte);
    return !EFI_ERROR(io->WriteBlocks(io, io->Media->MediaId, block, block_size, block_bytes)) &&
           !EFI_ERROR(io->FlushBlocks(io));
}

void disk_report_crc(void)
{
    UINT32 crc = 0;
    BS->CalculateCrc32(block_bytes, block_size, &crc);
    report_int("crc", crc);
}
