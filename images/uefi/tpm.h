/* A TPM 2.0, by the firmware's protocol for it: the SHA-256 bank of its registers. */
#pragma once

#include <efi.h>

/* FALSE: there is no TPM, or it refuses. byte fills the digest that the register is extended with. */
BOOLEAN tpm_extend(UINT32 pcr, UINT8 byte);
BOOLEAN tpm_read(UINT32 pcr);
/* Reports "pcr": the register that was read last, in hexadecimal. */
void tpm_report_pcr(void);
