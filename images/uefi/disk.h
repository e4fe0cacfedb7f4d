/* The drives that the firmware found, whole ones: no partitions, none without a medium. */
#pragma once

#include <efi.h>

/* Reports "disks": [[blocks, bytes of a block, 1 when read-only], …], in the firmware's order. */
void disk_report(void);
/* One block. FALSE: no such drive or block, or the drive refuses. */
BOOLEAN disk_read(UINTN disk, UINT64 block);
BOOLEAN disk_fill(UINTN disk, UINT64 block, UINT8 byte);
/* Reports "crc": the CRC-32 of the block that was read last. */
void disk_report_crc(void);
