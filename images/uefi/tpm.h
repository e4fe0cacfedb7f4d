/* A TPM 2.0, by the firmware's protocol for it: the SHA-256 bank of its registers. */
#pragma once

#include <efi.h>

/* FALSE: there is no TPM, or it refuses. byte fills the digest that the register is extended with. */
BOOLEAN tpm_extend(UINT32 pcr, UINT8 byte);
BOOLEAN tpm_read(UINT32 pcr);
/* Reports "pcr": the register that was read last, in hexadecimal. */
void tpm_report_pcr(void);
/* How often it was powered on or reset since it was made: what it has on its disk, and not only in memory. */
BOOLEAN tpm_read_resets(void);
/* Reports "resets". */
void tpm_report_resets(void);
